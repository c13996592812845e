//! G1 and G5: failures.

use std::{sync::Arc, time::Duration};

use super::super::{
    Operation,
    bench::Bench,
    probe::{Probe, chain},
    sample::{Sample, of_size, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    store::{Create, Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Touch, Update, Usage, Version},
};

pub(super) async fn g1_closed_is_not_absent(bench: Bench) -> Verdict {
    let g1 = bench.about("G1");
    let (session, version) = g1.created().await?;
    g1.close().await?;
    never_absent(&g1, &session, &version, "after `close`").await
}

pub(super) async fn g1_damaged_is_not_absent(bench: Bench) -> Verdict {
    let g1 = bench.about("G1");
    let (session, version) = g1.created().await?;
    g1.damage(&session.id).await?;
    // Twice: the first `load` must not have removed the damaged bytes.
    for time in ["first", "second"] {
        let answer = g1.in_time(Operation::Load, g1.store().load(&session.id)).await?;
        must_be(&g1, StoreErrorKind::Corrupt, answer, &format!("the {time} `load` of damaged bytes"))?;
    }
    never_absent(&g1, &session, &version, "where the stored bytes are damaged").await
}

pub(super) async fn g1_unavailable_is_not_absent(bench: Bench) -> Verdict {
    let g1 = bench.about("G1");
    let (session, version) = g1.created().await?;
    g1.outage(true).await?;
    never_absent(&g1, &session, &version, "while the backend is away").await?;
    let epoch = g1.in_time(Operation::OwnerEpoch, g1.store().owner_epoch("somebody")).await?;
    g1.holds(epoch.is_err(), format_args!("while the backend is away: `owner_epoch` answered {epoch:?}"))?;
    g1.outage(false).await?;
    let stored = recovered(&g1, &session).await?;
    g1.same_record(&session.record, &stored.record, "after the outage")
}

/// Fails if a method reports an existing session as absent.
async fn never_absent(g1: &Probe, session: &Sample, version: &Version, when: &str) -> Verdict {
    let Sample { id, record, usage } = session;
    let store = g1.store();
    let answer = g1.in_time(Operation::Load, store.load(id)).await?;
    g1.holds(!matches!(answer, Ok(None)), format_args!("{when}: `load` of a session answered None"))?;
    let answer = g1.in_time(Operation::Touch, store.touch(id, *usage)).await?;
    g1.holds(!matches!(answer, Ok(Touch::Gone)), format_args!("{when}: `touch` of a session answered Gone"))?;
    let answer = g1.in_time(Operation::Create, store.create(id, record, *usage)).await?;
    let created = matches!(answer, Ok(Create::Created(_)));
    g1.holds(!created, format_args!("{when}: `create` of a session that was there answered Created"))?;
    let held = Stored::new(Arc::clone(record), *version, *usage);
    let answer = g1.in_time(Operation::Refresh, store.refresh(id, &held)).await?;
    g1.holds(!matches!(answer, Ok(Refresh::Gone)), format_args!("{when}: `refresh` of a session answered Gone"))?;
    let answer = g1.in_time(Operation::Update, store.update(id, record, version, *usage)).await?;
    g1.holds(!matches!(answer, Ok(Update::Gone)), format_args!("{when}: `update` of a session answered Gone"))?;
    let to = g1.sample();
    let answer = g1
        .in_time(
            Operation::Rename,
            store.rename(id, version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage),
        )
        .await?;
    g1.holds(!matches!(answer, Ok(Rename::Gone)), format_args!("{when}: `rename` of a session answered Gone"))
}

pub(super) async fn g5_a_refused_record_changes_nothing(bench: Bench) -> Verdict {
    let g5 = bench.about("G5");
    let Some(bytes) = g5.harness().refuses else {
        return g5.skip("the harness names no size that the store refuses; see `Harness::refuses`");
    };
    let huge = |session: &Sample| Arc::new((*session.record).clone().with_entries(of_size(bytes)));

    let session = g5.sample();
    let answer = g5.in_time(Operation::Create, g5.store().create(&session.id, &huge(&session), session.usage)).await?;
    must_be(&g5, StoreErrorKind::TooLarge, answer, "`create` of a record that is too large")?;
    g5.absent(&session.id, "after that `create`").await?;

    let (session, version) = g5.created().await?;
    let before = g5.present(&session.id, "after `create`").await?;
    let later = Usage::keep_for(g5.now(), Duration::from_secs(7_200));
    let answer =
        g5.in_time(Operation::Update, g5.store().update(&session.id, &huge(&session), &version, later)).await?;
    must_be(&g5, StoreErrorKind::TooLarge, answer, "`update` to a record that is too large")?;
    same(&g5, &session, &before, "after that `update`").await?;

    let to = g5.sample();
    let record = huge(&to);
    let tombstone = tombstone(to.usage.used_at);
    let rename = g5.store().rename(&session.id, &version, &tombstone, &to.id, &record, to.usage);
    let answer = g5.in_time(Operation::Rename, rename).await?;
    must_be(&g5, StoreErrorKind::TooLarge, answer, "`rename` with a record that is too large")?;
    same(&g5, &session, &before, "after that `rename`").await?;
    g5.absent(&to.id, "after that `rename`, under the new id").await
}

pub(super) async fn g5_an_outage_changes_nothing(bench: Bench) -> Verdict {
    let g5 = bench.about("G5");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let (session, _) = g5.created().await?;
        let before = g5.present(&session.id, "after `create`").await?;
        sessions.push((session, before));
    }
    let new = g5.sample();
    g5.outage(true).await?;
    let store = g5.store();
    let later = Usage::keep_for(g5.now(), Duration::from_secs(7_200));
    let [(first, before), (second, _), (third, _)] = &sessions[..] else { unreachable!("three were created") };
    let record = first.variant(1);
    let update = store.update(&first.id, &record, &before.version, later);
    let updated = g5.in_time(Operation::Update, update).await?.map(|_| ());
    let touched = g5.in_time(Operation::Touch, store.touch(&second.id, later)).await?.map(|_| ());
    let removed = g5.in_time(Operation::Remove, store.remove(&third.id)).await?.map(|_| ());
    let created = g5.in_time(Operation::Create, store.create(&new.id, &new.record, new.usage)).await?.map(|_| ());
    g5.outage(false).await?;
    recovered(&g5, first).await?;
    for ((session, before), (operation, answer)) in
        sessions.iter().zip([("update", updated), ("touch", touched), ("remove", removed)])
    {
        if nothing_done(&g5, operation, answer)? {
            same(&g5, session, before, &format!("after an outage in which `{operation}` failed")).await?;
        }
    }
    if nothing_done(&g5, "create", created)? {
        g5.absent(&new.id, "after an outage in which `create` failed").await?;
    }
    Ok(())
}

pub(super) async fn g5_damage_stays_as_it_is(bench: Bench) -> Verdict {
    let g5 = bench.about("G5");
    let (session, stale) = g5.created().await?;
    let version = g5.updated(&session, &session.variant(1), &stale).await?;
    g5.damage(&session.id).await?;
    for (expected, which) in [(stale, "an older version"), (version, "the stored version")] {
        let record = session.variant(2);
        let update = g5.store().update(&session.id, &record, &expected, session.usage);
        let answer = g5.in_time(Operation::Update, update).await?;
        if let Ok(Update::Updated(new)) = answer {
            // A store that keeps the version apart from the bytes can compare it, and replace bytes that it can't read.
            g5.holds(
                expected == version,
                "`update` of damaged bytes that expects an older version: expected Conflict or an error, the store \
                 answered Updated",
            )?;
            return g5.unchanged(&session.id, &record, &new, "after an `update` of damaged bytes").await;
        }
        let answer = g5.in_time(Operation::Load, g5.store().load(&session.id)).await?;
        let what = format!("`load` after an `update` of damaged bytes that expects {which} and was refused");
        must_be(&g5, StoreErrorKind::Corrupt, answer, &what)?;
    }
    Ok(())
}

fn must_be<T>(probe: &Probe, kind: StoreErrorKind, answer: Result<T, StoreError>, what: &str) -> Verdict {
    match answer {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => {
            probe.broken(format!("{what}: expected the error {kind:?}, the store answered: {}", chain(&error)))
        }
        Ok(_) => probe.broken(format!("{what}: expected the error {kind:?}, and it succeeded")),
    }
}

/// Whether this answer promises that nothing was changed. During an outage no call can have succeeded.
fn nothing_done(g5: &Probe, operation: &str, answer: Result<(), StoreError>) -> Verdict<bool> {
    match answer {
        Ok(()) => g5.broken(format!("`{operation}` succeeded while the backend was away")),
        Err(error) => Ok(error.kind() != StoreErrorKind::OutcomeUnknown),
    }
}

/// Fails unless the session is as it was, including its version and expiry.
async fn same(g5: &Probe, session: &Sample, before: &Stored, when: &str) -> Verdict {
    g5.unchanged(&session.id, &before.record, &before.version, when).await?;
    let now = g5.present(&session.id, when).await?;
    g5.same_expiry(before, &now, when)
}

/// Returns the stored record after an outage. A client may take a moment to reconnect.
async fn recovered(probe: &Probe, session: &Sample) -> Verdict<Stored> {
    match answered(probe, &session.id).await? {
        Some(stored) => Ok(stored),
        None => probe.broken("after the outage: expected the session, `load` answered None"),
    }
}

/// Loads until the store answers without an error.
pub(super) async fn answered(probe: &Probe, id: &SessionId) -> Verdict<Option<Stored>> {
    let again = async {
        loop {
            if let Ok(answer) = probe.store().load(id).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    probe.in_time(Operation::Load, again).await
}
