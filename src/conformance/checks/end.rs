//! X1-X4: a session is ended in the version that was seen, and stays ended.

use std::sync::Arc;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    store::{Acquire, End, Holder, Rename, Touch, Update, Version},
};

impl Probe {
    async fn end_now(&self, id: &SessionId, expected: &Version) -> Verdict<End> {
        self.end(id, expected, self.now()).await
    }

    /// Fails unless the id is absent or has a tombstone that no token matches.
    async fn over(&self, id: &SessionId, when: &str) -> Verdict {
        match self.load(id).await? {
            Some(stored) if !stored.record.is_grave() => {
                self.broken(format!("{when}, `load` answered a record: {:?}", stored.record))
            }
            _ => Ok(()),
        }
    }
}

pub(super) async fn x1_nothing_brings_it_back(bench: Bench) -> Verdict {
    let x1 = bench.about("X1");
    let (session, stale) = x1.created().await?;
    let version = x1.updated(&session, &session.variant(1), &stale).await?;
    x1.equal(End::Ended, x1.end_now(&session.id, &version).await?, "`end` of a session in the expected version")?;
    x1.over(&session.id, "after an `end`").await?;
    for version in [stale, version] {
        let answer = x1.update(&session.id, &session.variant(2), &version, session.usage).await?;
        x1.holds(
            matches!(answer, Update::Gone | Update::Conflict(_)),
            format_args!("`update` after an `end` answered {answer:?}"),
        )?;
    }
    x1.touch(&session.id, session.usage).await?;
    x1.over(&session.id, "after an `end`, two `update`s and a `touch`").await?;
    for way in x1.ways() {
        let (session, version) = x1.created().await?;
        let (first, second, Sample { id, usage, .. }) = (x1.clone(), x1.other(way), session.clone());
        let touch = async move { first.touch(&id, usage).await };
        let (touched, ended) = way.run(touch, async move { second.end_now(&id, &version).await }).await;
        let (touched, ended) = (touched?, ended?);
        x1.equal(End::Ended, ended, "`end` concurrent with a `touch`")?;
        let when = format!("after `touch` ({touched:?}) and `end` at once");
        x1.over(&id, &when).await?;
        x1.other(way).over(&id, &when).await?;
    }
    Ok(())
}

pub(super) async fn x2_a_refused_end_changes_nothing(bench: Bench) -> Verdict {
    let x2 = bench.about("X2");
    let (session, stale) = x2.created().await?;
    let version = x2.updated(&session, &session.variant(1), &stale).await?;
    x2.equal(End::Conflict(None), x2.end_now(&session.id, &stale).await?, "`end` that expects an older version")?;
    x2.unchanged(&session.id, &session.variant(1), &version, "after an `end` that expects an older version").await?;
    // After a renewal: its tombstone leads to the session, so it has to stay.
    let (to, left) = (x2.sample(), tombstone(session.usage.used_at));
    let renamed = x2.rename(&session.id, &version, &left, &to.id, &to.record, to.usage).await?;
    x2.holds(matches!(renamed, Rename::Renamed(_)), format_args!("`rename` of a session answered {renamed:?}"))?;
    x2.equal(End::Conflict(None), x2.end_now(&session.id, &version).await?, "`end` of the version before a `rename`")?;
    let stored = x2.present(&session.id, "after a `rename` and an `end`, the old id").await?;
    x2.same_record(&left, &stored.record, "after a `rename` and an `end`, the old id")?;
    x2.present(&to.id, "after a `rename` and an `end` of the old id, the new id").await?;

    let (removed, version) = x2.created().await?;
    x2.remove(&removed.id).await?;
    let expired = x2.sample().with_usage(x2.keep(2));
    let old = x2.create_sample(&expired).await?;
    x2.past(expired.usage.expires_at).await;
    for (gone, version, what) in [
        (x2.sample(), version, "an id that was never created"),
        (removed, version, "a removed session"),
        (expired, old, "an expired session"),
    ] {
        x2.equal(End::Gone, x2.end_now(&gone.id, &version).await?, format_args!("`end` of {what}"))?;
        x2.absent(&gone.id, &format!("after an `end` of {what}")).await?;
    }
    Ok(())
}

pub(super) async fn x3_one_of_end_and_update_wins(bench: Bench) -> Verdict {
    let x3 = bench.about("X3");
    for way in x3.ways() {
        let (session, version) = x3.created().await?;
        let (first, second) = (x3.clone(), x3.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), session.variant(1));
        let update = async move { first.update(&id, &record, &version, usage).await };
        let (updated, ended) = way.run(update, async move { second.end_now(&id, &version).await }).await;
        match (updated?, ended?) {
            (Update::Updated(version), End::Conflict(_)) => {
                x3.unchanged(&id, &session.variant(1), &version, "after an `update` that beat an `end`").await?;
            }
            (Update::Gone | Update::Conflict(_), End::Ended) => {
                x3.over(&id, "after an `end` that beat an `update`").await?;
            }
            (updated, ended) => x3.broken(format!(
                "of an `update` and an `end` that expect one version exactly one succeeds: they answered {updated:?} and \
                 {ended:?}"
            ))?,
        }
    }
    Ok(())
}

pub(super) async fn x3_one_of_end_and_rename_wins(bench: Bench) -> Verdict {
    let x3 = bench.about("X3");
    for way in x3.ways() {
        let (session, version) = x3.created().await?;
        let (to, left) = (x3.sample(), tombstone(session.usage.used_at));
        let (first, second, id) = (x3.clone(), x3.other(way), session.id);
        let (new, stone) = (to.clone(), Arc::clone(&left));
        let rename = async move { first.rename(&id, &version, &stone, &new.id, &new.record, new.usage).await };
        let (renamed, ended) = way.run(rename, async move { second.end_now(&id, &version).await }).await;
        match (renamed?, ended?) {
            (Rename::Renamed(_), End::Conflict(_)) => {
                let stored = x3.present(&id, "after a `rename` that beat an `end`, the old id").await?;
                x3.same_record(&left, &stored.record, "after a `rename` that beat an `end`, the old id")?;
                x3.present(&to.id, "after a `rename` that beat an `end`, the new id").await?;
            }
            (Rename::Gone | Rename::Conflict(_), End::Ended) => {
                x3.over(&id, "after an `end` that beat a `rename`, the old id").await?;
                x3.absent(&to.id, "after an `end` that beat a `rename`, the new id").await?;
            }
            (renamed, ended) => x3.broken(format!(
                "of a `rename` and an `end` that expect one version exactly one succeeds: they answered {renamed:?} and \
                 {ended:?}"
            ))?,
        }
    }
    Ok(())
}

pub(super) async fn x3_one_of_two_ends_wins(bench: Bench) -> Verdict {
    let x3 = bench.about("X3");
    for way in x3.ways() {
        let (session, version) = x3.created().await?;
        let (first, second, id) = (x3.clone(), x3.other(way), session.id);
        let one = async move { first.end_now(&id, &version).await };
        let (one, two) = way.run(one, async move { second.end_now(&id, &version).await }).await;
        let (one, two) = (one?, two?);
        let is_one = (one == End::Ended) != (two == End::Ended);
        x3.holds(is_one, format_args!("two `end`s of one version at once answered {one:?} and {two:?}"))?;
        x3.over(&id, "after two `end`s at once").await?;
    }
    Ok(())
}

pub(super) async fn x4_a_lease_is_not_waited_for(bench: Bench) -> Verdict {
    let x4 = bench.about("X4");
    let (session, _) = x4.created().await?;
    let holder = Holder::generate().expect("the operating system gives random numbers");
    let lease = x4.acquire(&session.id, holder, x4.units(20)).await?;
    x4.holds(matches!(lease, Acquire::Acquired { .. }), format_args!("`acquire` of a session answered {lease:?}"))?;
    let version = x4.present(&session.id, "after `acquire`").await?.version;
    // Half the lease's time: an `end` that waits for the lease takes longer, or hangs with a manual clock.
    let Ok(ended) = tokio::time::timeout(x4.units(10), x4.end_now(&session.id, &version)).await else {
        return x4.broken("`end` of a leased session waits");
    };
    x4.equal(End::Ended, ended?, "`end` of a leased session")?;
    x4.over(&session.id, "after `end` of a leased session").await?;
    x4.equal(Touch::Gone, x4.touch(&session.id, session.usage).await?, "`touch` after `end` of a leased session")
}
