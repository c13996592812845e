//! L1-L3 and F1: the store returns the stored records.

use std::{sync::Arc, time::Duration};

use super::super::{
    bench::{Bench, Verdict},
    race::Way,
    sample::{Sample, identity, shapes, tombstone},
};
use crate::{
    record::{Record, RecordKind},
    store::{Refresh, Rename, Stored, Touch, Usage},
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

pub(super) async fn f1_refresh_tells_what_changed(bench: Bench) -> Verdict {
    let f1 = bench.about("F1");
    let twin = f1.other(THROUGH_TWIN);
    let (session, _) = f1.created().await?;
    let held = f1.present(&session.id, "after `create`").await?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Same { usage, .. } => {
            f1.expires(session.usage.expires_at, usage.expires_at, "`refresh` of what is held")?
        }
        other => f1.broken(format!("`refresh` of what is held answered {}", name(&other)))?,
    }
    let later = Usage::keep_for(f1.now(), Duration::from_secs(7_200));
    f1.equal(Touch::Touched, twin.touch(&session.id, later).await?, "`touch`")?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Same { usage, .. } => f1.expires(later.expires_at, usage.expires_at, "`refresh` after a `touch`")?,
        other => f1.broken(format!("`refresh` after a `touch` answered {}", name(&other)))?,
    }
    let version = twin.updated(&session, &session.variant(1), &held.version).await?;
    let is_new = |stored: &Stored, record: &Arc<Record>, when: &str| {
        f1.same_record(record, &stored.record, when)?;
        f1.holds(stored.version != held.version, format_args!("{when}: the version is the held one"))
    };
    match f1.refresh(&session.id, &held).await? {
        Refresh::Changed(stored) => {
            is_new(&stored, &session.variant(1), "`refresh` after an `update`")?;
            f1.equal(version, stored.version, "the version that `refresh` answers after an `update`")?;
        }
        other => f1.broken(format!("`refresh` after an `update` answered {}", name(&other)))?,
    }
    let to = f1.sample();
    twin.rename(&session.id, &version, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    match f1.refresh(&session.id, &held).await? {
        Refresh::Changed(stored) => {
            f1.equal(RecordKind::Tombstone, stored.record.kind(), "what `refresh` answers after a `rename`")?;
        }
        other => f1.broken(format!("`refresh` after a `rename` answered {}", name(&other)))?,
    }
    let held = f1.present(&to.id, "after `rename`").await?;
    twin.remove(&to.id).await?;
    let answer = f1.refresh(&to.id, &held).await?;
    f1.holds(matches!(answer, Refresh::Gone), format_args!("`refresh` after a `remove` answered {}", name(&answer)))?;
    let short = f1.sample().with_usage(f1.keep(2));
    f1.create_sample(&short).await?;
    let held = f1.present(&short.id, "after `create`").await?;
    f1.past(short.usage.expires_at).await;
    let answer = f1.refresh(&short.id, &held).await?;
    f1.holds(matches!(answer, Refresh::Gone), format_args!("`refresh` after the expiry answered {}", name(&answer)))
}

fn name(refresh: &Refresh) -> &'static str {
    match refresh {
        Refresh::Same { .. } => "Same",
        Refresh::Changed(_) => "Changed",
        Refresh::Gone => "Gone",
    }
}
