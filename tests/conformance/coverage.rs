//! Every numbered sentence has a check, and every check catches a store that breaks just that sentence.

use std::collections::BTreeSet;

use session_layer::conformance::{
    self, checks,
    fault::{Bare, Fault, FaultStore},
    sentences,
};

use crate::{
    broken::Broken,
    defects::{DEFECTS, Defect},
    reference::Reference,
};

/// The sentences' numbers as in the file, found without the kit's own parser.
fn numbers_in_the_contract() -> BTreeSet<String> {
    let source = [include_str!("../../src/store/contract.rs"), include_str!("../../src/store/capability.rs")].concat();
    let numbers = source.split("- **").skip(1).filter_map(|after| after.split_once("**")).map(|(number, _)| number);
    numbers.map(str::to_owned).collect()
}

#[test]
fn the_kit_reads_every_sentence_and_its_text() {
    let read: BTreeSet<_> = sentences().iter().map(|sentence| sentence.number.clone()).collect();
    assert_eq!(read, numbers_in_the_contract());
    assert_eq!(read.len(), sentences().len(), "a number stands twice in the contract");
    for sentence in sentences() {
        assert!(sentence.text.ends_with(['.', ')']), "cut off: {sentence}");
    }
    let u1 = sentences().iter().find(|sentence| sentence.number == "U1").expect("there is a U1");
    assert_eq!(u1.to_string(), "U1: If there is no live record, returns `Gone`: `update` never creates.");
}

#[test]
fn every_sentence_has_a_check_and_a_broken_store() {
    let sentences = numbers_in_the_contract();
    let checked: BTreeSet<_> = checks().iter().flat_map(|check| check.sentences).map(ToString::to_string).collect();
    assert_eq!(checked, sentences, "the numbers that checks name, beside those in the contract");
    let broken: BTreeSet<_> = DEFECTS.iter().map(|(sentence, _)| (*sentence).to_owned()).collect();
    assert_eq!(broken, sentences, "the numbers that broken stores name, beside those in the contract");
    let names: BTreeSet<_> = checks().iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks().len(), "two checks have one name");
    for check in checks() {
        let number = check.name.split('_').next().unwrap_or_default().to_uppercase();
        assert!(check.sentences.contains(&&*number), "{} is not named after its sentence", check.name);
    }
}

/// A correct store passes with nothing skipped. Otherwise, failures of the broken ones would prove little.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_reference_passes_with_nothing_skipped() {
    let report = conformance::run(Reference::open).await;
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_broken_store_is_caught_by_its_sentence_and_every_check_catches_one() {
    let mut runs = Vec::new();
    for (sentence, defect) in DEFECTS {
        for check in checks().iter().filter(|check| check.sentences.contains(sentence)) {
            runs.push(tokio::spawn(async move {
                let outcome = check.run(Broken::harness(*defect).await).await;
                (*sentence, *defect, outcome)
            }));
        }
    }
    let (mut caught, mut sharp) = (BTreeSet::new(), BTreeSet::new());
    for run in runs {
        let (sentence, defect, outcome) = run.await.unwrap();
        if let Some(failure) = outcome.failure
            && failure.sentence == sentence
        {
            caught.insert(format!("{sentence} {defect:?}"));
            sharp.insert(outcome.check);
        }
    }
    let all: BTreeSet<_> = DEFECTS.iter().map(|(sentence, defect)| format!("{sentence} {defect:?}")).collect();
    let missed: Vec<_> = all.difference(&caught).collect();
    assert!(missed.is_empty(), "no check of its sentence catches: {missed:?}");
    let blunt: Vec<_> = checks().iter().map(|check| check.name).filter(|name| !sharp.contains(name)).collect();
    assert!(blunt.is_empty(), "these checks catch none of the broken stores of their sentences: {blunt:?}");
}

/// Defects that only one check finds: all other checks pass with a store that has only this defect.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn some_defects_are_seen_by_one_check_only() {
    let only = [
        (Defect::ClearsOneByOne, "i4_a_clear_beats_a_rename"),
        (Defect::CreateSentAgain, "g6_an_unanswered_create_happens_once"),
        (Defect::UpdateSentAgain, "g6_an_unanswered_update_happens_once"),
        (Defect::UpdateSentAgainOver, "g6_an_unanswered_update_never_comes_again"),
        (Defect::TouchSaidUndone, "g6_an_unanswered_touch_happens_once"),
        (Defect::RemoveSentAgain, "g6_an_unanswered_remove_happens_once"),
        (Defect::EndSentAgain, "g6_an_unanswered_end_happens_once"),
        (Defect::RenameSentAgain, "g6_an_unanswered_rename_happens_once"),
        (Defect::LockTakenForAnothers, "g6_an_unanswered_lock_is_the_holders"),
        (Defect::CreateCapsAtLoad, "l4_the_cap_is_stored"),
        (Defect::UpdateCapsAtLoad, "l4_the_cap_is_stored"),
        (Defect::UpdateLeavesUse, "l5_the_last_use_is_the_last_one_told"),
        (Defect::RenameLeavesUse, "l5_the_last_use_is_the_last_one_told"),
        (Defect::IdsByBucket, "i1_a_table_that_grows_and_shrinks"),
        (Defect::OwnersByPrefix, "o1_owners_that_look_alike"),
        (Defect::OwnersIgnoreCase, "o1_owners_that_look_alike"),
        (Defect::OwnersByPattern, "o1_owners_that_look_alike"),
        (Defect::OwnersCutShort, "o1_owners_that_look_alike"),
        (Defect::ListsOnePage, "o1_more_than_a_page"),
        (Defect::UpdateIgnoresVersionOfDamaged, "g5_damage_stays_as_it_is"),
    ];
    let mut wrong = Vec::new();
    for (defect, check) in only {
        let report = conformance::run(|| async move { Broken::harness(defect).await.rounds(8) }).await;
        let found: Vec<_> = report.failures().map(|failure| failure.check).collect();
        if found != [check] {
            wrong.push(format!("{defect:?} is seen by {found:?}, not by {check} alone: {report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// There is one failure that says what to do, instead of one in every check of expiry.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manual_clock_that_the_store_does_not_read_is_said_once() {
    let report = conformance::run(|| Broken::harness(Defect::ReadsAnotherClock)).await;
    let failures: Vec<_> = report.failures().collect();
    assert_eq!(failures.len(), 1, "{report}");
    assert_eq!(failures[0].check, "g4_the_store_reads_the_harness_clock");
    assert!(failures[0].what.contains("Harness::new(store, Clock::system())"), "{report}");
    assert_eq!(report.outcomes.len(), checks().len());
    assert_eq!(report.skipped().count(), checks().len() - 1, "{report}");
    // A check that runs alone says so, too.
    let alone = checks().iter().find(|check| check.name == "l2_what_is_not_there_is_none").expect("a check");
    let failure = alone.run(Broken::harness(Defect::ReadsAnotherClock).await).await.failure.expect("nothing expires");
    assert!(failure.what.contains("does not read the harness's manual clock"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_names_the_sentence_its_text_and_the_answer() {
    let report = conformance::run(|| Broken::harness(Defect::UpdateCreates)).await;
    assert!(!report.passed());
    let text = report.to_string();
    for part in [
        "U1: If there is no live record, returns `Gone`: `update` never creates.",
        "`update` of an id that was never created: expected Gone, the store answered Updated",
        "found by the check u1_update_never_creates",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_panics_is_a_failure_and_the_other_checks_go_on() {
    let open = || async {
        Reference::open().await.wrap(|store| {
            let store = FaultStore::new(store);
            store.inject(Fault::alter(|_| panic!("index out of bounds")));
            store
        })
    };
    let report = conformance::run(open).await;
    assert_eq!(report.outcomes.len(), checks().len());
    let failure = report.failures().find(|failure| failure.sentence == "L1").expect("every load panics");
    assert_eq!(failure.what, "the store panicked: index out of bounds");
    assert!(report.failures().count() < checks().len(), "some checks load nothing");
}

/// If the store lacks a method that the harness expects, the check fails. If the harness doesn't expect it, the check
/// is skipped, and the report says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_method_fails_and_a_missing_one_is_named() {
    let lost = conformance::run(|| async { Reference::open().await.wrap(Bare) }).await;
    let failure = lost.failures().find(|failure| failure.sentence == "I3").expect("`count` is lost");
    assert!(failure.what.contains("`count` failed: count: the store does not support this operation"), "{failure}");

    let never = conformance::run(|| async {
        let clock = conformance::manual_clock();
        conformance::Harness::new(Bare(Reference::new(clock.clone())), clock)
    })
    .await;
    never.assert_passed();
    let skipped: BTreeSet<_> = never.skipped().map(|skip| skip.sentence).collect();
    for sentence in ["G1", "G5", "G6", "I1", "I2", "I3", "I4", "K1", "O1", "R4", "W1", "W2"] {
        assert!(skipped.contains(sentence), "{sentence} was not checked, and nobody says so: {never}");
    }
    assert!(never.to_string().contains("skipped: I3 in i3_the_count_is_the_number_of_ids: the store has no `count`"));
}
