//! The kit over `MemoryStore`, alone and under the kit's own wrappers.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_layer::{
    Clock, DynStore, Lifetime, MemoryStore, SessionId, SessionStore,
    conformance::{
        self, Harness, Operation,
        fault::{Bare, FaultStore},
    },
    id::TokenCheck,
    record::{Epoch, Owner, Record},
    store::{Create, Cursor, Idle, Listing, Page, StoreError, Stored, Swept, Update, Usage, Version},
};

use crate::{forward::forward, reference::Reference};

/// What `MemoryStore` has beyond the required methods.
const MEMORY: &[Operation] = &[];

async fn memory() -> Harness {
    let clock = conformance::manual_clock();
    Harness::new(MemoryStore::with_clock(clock.clone()), clock).expects(MEMORY.iter().copied())
}

mod memory {
    session_layer::conformance::tests!(super::memory);
}

mod memory_boxed {
    use super::*;

    async fn open() -> Harness {
        memory().await.wrap(DynStore::new)
    }

    session_layer::conformance::tests!(open);
}

/// The contract's provided forms, over a store that may override them.
mod memory_with_the_required_methods_only {
    use super::*;

    async fn open() -> Harness {
        let clock = conformance::manual_clock();
        Harness::new(Bare(MemoryStore::with_clock(clock.clone())), clock)
    }

    session_layer::conformance::tests!(open);
}

mod memory_under_a_fault_store {
    use super::*;

    async fn open() -> Harness {
        memory().await.wrap(FaultStore::new)
    }

    session_layer::conformance::tests!(open);
}

/// A store whose awaited methods return what the inner store answers at once, so that the whole kit checks these answers.
pub(crate) struct AtOnce<S>(pub(crate) S);

impl<S: SessionStore> SessionStore for AtOnce<S> {
    forward!(0: touch, remove);

    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.0.try_load(id).expect("it answers at once")
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.0.try_create(id, record, usage).expect("it answers at once")
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.0.try_update(id, record, expected, usage).expect("it answers at once")
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.0.try_load(id)
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        self.0.try_create(id, record, usage)
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        self.0.try_update(id, record, expected, usage)
    }
}

mod memory_at_once {
    use super::*;

    async fn open() -> Harness {
        memory().await.wrap(AtOnce)
    }

    session_layer::conformance::tests!(open);
}

/// With a journal, an update that changes the owner or shortens the session's life waits for it, so it is not answered at
/// once.
#[tokio::test]
async fn a_memory_store_answers_at_once_unless_its_journal_must_note_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::builder().snapshot_path(folder.path().join("sessions")).open().unwrap();
    let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
    let (id, record) = (SessionId::for_epoch("x"), Arc::new(record));
    let usage = Usage::at(&record, SystemTime::now());
    let Some(Ok(Create::Created(version))) = store.try_create(&id, &record, usage) else { panic!("not created") };
    assert_eq!(store.try_load(&id).unwrap().unwrap().unwrap().version, version);
    let Some(Ok(Update::Updated(version))) = store.try_update(&id, &record, &version, usage) else {
        panic!("not updated")
    };
    let shorter = Usage { expires_at: usage.expires_at - Duration::from_secs(2), ..usage };
    let owned = Record::clone(&record).with_owner(Some(Owner::new("ada", Epoch::from_u64(1)).unwrap()));
    for (record, usage) in [(&record, shorter), (&Arc::new(owned), usage)] {
        assert!(store.try_update(&id, record, &version, usage).is_none());
        let stored = store.load(&id).await.unwrap().unwrap();
        assert_eq!(stored.version, version, "nothing was done");
        assert!(stored.expires_at > shorter.expires_at && stored.record.owner().is_none());
    }
    let Update::Updated(updated) = store.update(&id, &record, &version, shorter).await.unwrap() else {
        panic!("not updated")
    };
    assert!(matches!(store.try_update(&id, &record, &version, usage), Some(Ok(Update::Conflict(_)))));
    assert!(
        matches!(store.try_update(&id, &record, &updated, usage), Some(Ok(Update::Updated(_)))),
        "it may be longer"
    );
    store.close().await.unwrap();
    assert!(store.try_load(&id).unwrap().is_err(), "closed is not absent");
}

/// What a wrapper does that passes `OutcomeUnknown` on, and the provided `rename` at each of its steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_of_the_memory_store_that_are_lost() {
    let open = |bare: bool| async move {
        let clock = conformance::manual_clock();
        let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
        let backend = store.clone();
        let tested = if bare { DynStore::new(Bare(store)) } else { DynStore::new(store) };
        Harness::new(tested, clock).lose_answers(move |nth| {
            let lost = backend.lose_answer(nth);
            async move { lost }
        })
    };
    for bare in [false, true] {
        for check in conformance::checks().iter().filter(|check| check.sentences.contains(&"G6")) {
            let outcome = check.run(open(bare).await).await;
            assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
            let leases = check.name == "g6_an_unanswered_lock_is_the_holders";
            assert_eq!(outcome.skipped.is_empty(), !(bare && leases), "{:?}", outcome.skipped);
        }
    }
}

/// A hook that loses nothing would let every store pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hook_that_loses_no_answer_is_a_failure() {
    let clock = conformance::manual_clock();
    let harness = Harness::new(MemoryStore::with_clock(clock.clone()), clock).lose_answers(|_| async { false });
    let check = conformance::checks().iter().find(|check| check.sentences.contains(&"G6")).expect("a check");
    let failure = check.run(harness).await.failure.expect("nothing was lost");
    assert!(failure.what.contains("no answer was lost"), "{failure}");
}

/// Names the last id of each page again on the next, as a `SCAN` may.
struct NamesTwice(Reference);

impl SessionStore for NamesTwice {
    forward!(0: load, create, update, touch, remove);

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Listing for NamesTwice {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let mut page = self.0.ids(from, limit).await?;
        let again: Vec<_> = page.ids.iter().rev().take(3).copied().collect();
        page.ids.extend(again);
        Ok(page)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.0.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.0.sweep().await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.0.delete_idle(idle).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_names_ids_twice_passes() {
    for check in conformance::checks().iter().filter(|check| check.sentences[0].starts_with('I')) {
        let clock = conformance::manual_clock();
        let store = NamesTwice(Reference::new(clock.clone()));
        let outcome = check.run(Harness::new(store, clock).expects([Operation::Ids, Operation::Count])).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    }
}

/// A test that passes says what it left out: `cargo test` shows it.
#[test]
fn what_is_skipped_is_printed_by_a_test_that_passes() {
    let test = "stores::memory::r4_damage_is_removed";
    let run = std::process::Command::new(std::env::current_exe().unwrap()).args([test, "--exact"]).output().unwrap();
    assert!(run.status.success());
    let told = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(told.contains("1 passed"), "{told}");
    let skipped = "skipped: R4 in r4_damage_is_removed: the harness has no way to damage a record";
    assert!(told.contains(skipped), "{told}");
}

/// By a clock that nobody moves: the kit waits, as it does for a backend with a clock of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_reference_passes_on_the_systems_clock() {
    let report = conformance::run(|| async {
        let clock = Clock::system();
        Reference::harness(&clock, &Reference::new(clock.clone()), DynStore::new).rounds(20)
    })
    .await;
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// Tells how many whole seconds are left, rounded up, as a backend that counts seconds does.
struct WholeSeconds<S>(S);

impl<S: SessionStore> SessionStore for WholeSeconds<S> {
    forward!(0: create, update, touch, remove);

    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let now = Clock::system().now();
        let rounded = |mut stored: Stored| {
            let left = stored.expires_at.duration_since(now).unwrap_or_default();
            stored.expires_at = now + Duration::from_secs(left.as_secs() + 1);
            stored
        };
        Ok(self.0.load(id).await?.map(rounded))
    }
}

/// "A store that counts whole seconds may be up to one late."
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_of_whole_seconds_passes_if_the_harness_says_so() {
    let open = |late: Duration| async move {
        let clock = Clock::system();
        Harness::new(WholeSeconds(Reference::new(clock.clone())), clock).rounds(20).late_by(late)
    };
    // Rounded up is up to a second, and a call takes a moment.
    conformance::run(|| open(Duration::from_millis(1_500))).await.assert_passed();
    let strict = conformance::checks().iter().find(|check| check.name == "l4_the_expiry_is_the_last_one_set");
    let outcome = strict.expect("a check").run(open(Duration::ZERO).await).await;
    let failure = outcome.failure.expect("it is late");
    assert_eq!(failure.sentence, "L4");
    assert!(failure.what.contains("later than it must be") && failure.what.contains("`Harness::late_by`"), "{failure}");
}

/// What the memory store leaves unchecked is what the harness can't do to it, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_is_skipped_for_known_reasons_only() {
    let report = conformance::run(memory).await;
    report.assert_passed();
    for skip in report.skipped() {
        let lacks = |operation: &Operation| skip.why == format!("the store has no `{operation}`");
        let known = skip.why.starts_with("the harness ")
            || Operation::OPTIONAL.iter().any(|operation| lacks(operation) && !MEMORY.contains(operation));
        assert!(known, "{skip}");
    }
}
