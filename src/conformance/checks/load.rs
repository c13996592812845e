//! L1-L3 and L6: the store returns the stored records, and the present epoch with them. `usage` has L4 and L5.

use std::sync::Arc;

use super::super::{
    bench::Bench,
    probe::Probe,
    race::Way,
    sample::{Sample, identity, shapes, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{OwnerEpoch, Refresh, Rename, Stored},
};

/// The way that uses the twin, if there is one.
pub(super) const THROUGH_TWIN: Way = Way::FirstHeld(0);

pub(super) async fn l1_every_record_comes_back(bench: Bench) -> Verdict {
    let l1 = bench.about("L1");
    let twin = l1.other(THROUGH_TWIN);
    let mut sessions = Vec::new();
    for (shape, record) in shapes(l1.now(), l1.harness().holds) {
        let session = Sample::of(identity().0, record, l1.now());
        let version = l1.create_sample(&session).await?;
        l1.unchanged(&session.id, &session.record, &version, &format!("after `create` of {shape}")).await?;
        sessions.push((shape, session, version));
    }
    // Each session takes the next one's record, so that every shape is also stored by an update.
    let records: Vec<_> = sessions.iter().map(|(shape, session, _)| (shape.clone(), session.clone())).collect();
    let mut next = records.iter().cycle().skip(1);
    for (_, session, version) in &mut sessions {
        let Some((shape, new)) = next.next() else { break };
        *session = Sample { id: session.id, ..new.clone() };
        *version = l1.updated(session, &new.record, version).await?;
        l1.unchanged(&session.id, &new.record, version, &format!("after `update` to {shape}")).await?;
    }
    for (_, session, version) in &sessions {
        twin.unchanged(&session.id, &session.record, version, "after all of them, loaded once more").await?;
    }
    Ok(())
}

pub(super) async fn l1_sessions_are_kept_apart(bench: Bench) -> Verdict {
    let l1 = bench.about("L1");
    let mut sessions = Vec::new();
    for number in 0..100 {
        let session = l1.sample();
        let session = Sample { record: session.variant(number), ..session };
        let version = l1.create_sample(&session).await?;
        sessions.push((session, version));
    }
    for (number, (session, version)) in sessions.iter_mut().enumerate() {
        match number % 3 {
            0 => *version = l1.updated(session, &session.variant(1_000 + number), version).await?,
            1 => l1.holds(l1.remove(&session.id).await?, "`remove` of one of many sessions answered false")?,
            _ => {}
        }
    }
    for (number, (session, version)) in sessions.iter().enumerate() {
        match number % 3 {
            0 => l1.unchanged(&session.id, &session.variant(1_000 + number), version, "one of many, updated").await?,
            1 => l1.absent(&session.id, "one of many, removed").await?,
            _ => l1.unchanged(&session.id, &session.record, version, "one of many, left alone").await?,
        }
    }
    Ok(())
}

pub(super) async fn l2_what_is_not_there_is_none(bench: Bench) -> Verdict {
    let l2 = bench.about("L2");
    l2.absent(&identity().0, "an id that was never created").await?;
    let (removed, _) = l2.created().await?;
    l2.present(&removed.id, "after `create`").await?;
    l2.remove(&removed.id).await?;
    l2.absent(&removed.id, "after `remove`").await?;
    l2.other(THROUGH_TWIN).absent(&removed.id, "after `remove`").await?;
    let expired = l2.sample().with_usage(l2.keep(2));
    l2.create_sample(&expired).await?;
    l2.present(&expired.id, "after `create`").await?;
    l2.past(expired.usage.expires_at).await;
    l2.absent(&expired.id, "after its expiry").await?;
    l2.absent(&expired.id, "after its expiry, for the second time").await
}

pub(super) async fn l3_the_version_is_the_one_that_was_answered(bench: Bench) -> Verdict {
    let l3 = bench.about("L3");
    let twin = l3.other(THROUGH_TWIN);
    let (session, mut version) = l3.created().await?;
    for number in 0..5 {
        for probe in [&l3, &twin, &l3] {
            let stored = probe.present(&session.id, "after a write").await?;
            l3.equal(version, stored.version, format_args!("the version that `load` answers after write {number}"))?;
        }
        version = l3.updated(&session, &session.variant(number), &version).await?;
    }
    let to = l3.sample();
    match l3.rename(&session.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await? {
        Rename::Renamed(renamed) => {
            let stored = l3.present(&to.id, "after `rename`").await?;
            l3.equal(renamed, stored.version, "the version that `load` answers after `rename`")?;
            l3.updated(&to, &to.variant(1), &renamed).await?;
        }
        other => l3.broken(format!("`rename` of a session in the expected version answered {other:?}"))?,
    }
    Ok(())
}

pub(super) async fn l6_the_epoch_with_a_record_is_the_present_one(bench: Bench) -> Verdict {
    let l6 = bench.about("L6");
    let epoch = l6.ensure_epoch("l6", l6.keep(1_000)).await?;
    let sample = l6.sample();
    let owner = Owner::new("l6", epoch).expect("a valid name");
    let session = Sample { record: Arc::new(Record::clone(&sample.record).with_owner(Some(owner))), ..sample };
    l6.create_sample(&session).await?;
    let stored = l6.present(&session.id, "a session with an owner").await?;
    if stored.owner_epoch == OwnerEpoch::NotAsked {
        return l6.skip("the store answers no epoch along with a record");
    }
    carries(&l6, &session.id, &stored, Some(epoch), "after `ensure_epoch`").await?;
    for round in 0..3 {
        l6.renew_epoch("l6", l6.keep(1_000)).await?;
        // After a renewal there may be no epoch until the next `ensure_epoch`.
        let present = l6.owner_epoch("l6").await?;
        for (probe, by) in [(&l6, "the same handle"), (&l6.other(THROUGH_TWIN), "another handle")] {
            let when = format!("after `renew_epoch` number {}, through {by}", round + 1);
            carries(probe, &session.id, &stored, present, &when).await?;
        }
        let present = l6.ensure_epoch("l6", l6.keep(1_000)).await?;
        carries(&l6, &session.id, &stored, Some(present), "after another `ensure_epoch`").await?;
    }
    for way in l6.ways() {
        let (first, second, id) = (l6.clone(), l6.other(way), session.id);
        let usage = l6.keep(1_000);
        let renew = async move { first.renew_epoch("l6", usage).await };
        let (renewed, loaded) = way.run(renew, async move { second.present(&id, "during `renew_epoch`").await }).await;
        renewed?;
        loaded?;
        let present = l6.owner_epoch("l6").await?;
        carries(&l6, &session.id, &stored, present, "after `renew_epoch` and `load` at once").await?;
        l6.ensure_epoch("l6", l6.keep(1_000)).await?;
    }
    Ok(())
}

/// Checks the epoch that `load` and `refresh` return with a record.
async fn carries(l6: &Probe, id: &SessionId, held: &Stored, expected: Option<Epoch>, when: &str) -> Verdict {
    let expected = OwnerEpoch::from(expected);
    let stored = l6.present(id, when).await?;
    // A store need not return it each time: a cache that shares one load among several callers drops it.
    if stored.owner_epoch != OwnerEpoch::NotAsked {
        l6.equal(expected, stored.owner_epoch, format_args!("the epoch that `load` answers with the record {when}"))?;
    }
    match l6.refresh(id, held).await? {
        Refresh::Same { owner_epoch: OwnerEpoch::NotAsked, .. } => Ok(()),
        Refresh::Same { owner_epoch, .. } => {
            l6.equal(expected, owner_epoch, format_args!("the epoch that `refresh` answers {when}"))
        }
        _ => l6.broken("`refresh` of a record that did not change answered that it changed, or is gone"),
    }
}
