//! N1-N4: a session moves to a new id and leaves a tombstone.

use std::sync::Arc;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    record::{Record, RecordKind},
    store::{Rename, Update, Version},
};

/// A session, and the tombstone that renaming it must leave.
struct Renaming {
    to: Sample,
    tombstone: Arc<Record>,
}

impl Renaming {
    fn new(to: Sample) -> Self {
        Self { tombstone: tombstone(to.usage.used_at), to }
    }

    async fn run(&self, probe: &Probe, from: &SessionId, expected: &Version) -> Verdict<Rename> {
        let Self { to, tombstone } = self;
        probe.rename(from, expected, tombstone, &to.id, &to.record, to.usage).await
    }

    /// Fails unless the old id holds this tombstone.
    async fn left(&self, probe: &Probe, from: &SessionId, when: &str) -> Verdict {
        let stored = probe.present(from, when).await?;
        probe.same_record(&self.tombstone, &stored.record, when)
    }
}

async fn rename(probe: &Probe, from: &Sample, expected: &Version, to: &Sample) -> Verdict<Rename> {
    Renaming::new(to.clone()).run(probe, &from.id, expected).await
}

pub(super) async fn n1_record_and_tombstone(bench: Bench) -> Verdict {
    let n1 = bench.about("N1");
    let (from, version) = n1.created().await?;
    let version = n1.updated(&from, &from.variant(1), &version).await?;
    let renaming = Renaming::new(n1.sample());
    let to = &renaming.to;
    match renaming.run(&n1, &from.id, &version).await? {
        Rename::Renamed(renamed) => n1.unchanged(&to.id, &to.record, &renamed, "after `rename`, the new id").await?,
        other => return n1.broken(format!("`rename` of a session in the expected version answered {other:?}")),
    }
    let stored = n1.present(&to.id, "after `rename`, the new id").await?;
    n1.expires(to.usage.expires_at, stored.expires_at, "after `rename`, the new id")?;
    renaming.left(&n1, &from.id, "after `rename`, the old id").await?;
    let left = n1.present(&from.id, "after `rename`, the old id").await?;
    let until = renaming.tombstone.expires_at(to.usage.used_at);
    n1.expires(until, left.expires_at, "after `rename`, the tombstone")?;
    n1.holds(left.version != version, "after `rename`, the tombstone is in the version that the session was in")?;
    let answer = n1.update(&from.id, &from.variant(2), &version, from.usage).await?;
    n1.equal(Update::Conflict(None), answer, "`update` of the old id in the version before the `rename`")?;
    if n1.exact() {
        n1.past(until).await;
        n1.absent(&from.id, "when the tombstone's time is over, the old id").await?;
        n1.present(&to.id, "when the tombstone's time is over, the new id").await?;
    }
    Ok(())
}

pub(super) async fn n2_a_refused_rename_changes_nothing(bench: Bench) -> Verdict {
    let n2 = bench.about("N2");
    let (from, stale) = n2.created().await?;
    let version = n2.updated(&from, &from.variant(1), &stale).await?;
    let before = n2.present(&from.id, "after `update`").await?;
    let as_it_was = async |when: &str| {
        n2.unchanged(&from.id, &from.variant(1), &version, &format!("{when}, the old id")).await?;
        let now = n2.present(&from.id, when).await?;
        n2.same_expiry(&before, &now, &format!("{when}, the old id"))
    };

    let to = n2.sample();
    n2.equal(Rename::Conflict(None), rename(&n2, &from, &stale, &to).await?, "`rename` that expects an older version")?;
    as_it_was("after a `rename` that expects an older version").await?;
    n2.absent(&to.id, "after a `rename` that expects an older version, the new id").await?;

    let (there, version_there) = n2.created().await?;
    let to = Sample { id: there.id, ..n2.sample() };
    n2.equal(Rename::Exists, rename(&n2, &from, &version, &to).await?, "`rename` to an id that is there")?;
    as_it_was("after a `rename` to an id that is there").await?;
    let when = "after a `rename` to an id that is there, that one";
    n2.unchanged(&there.id, &there.record, &version_there, when).await?;

    let (removed, version) = n2.created().await?;
    n2.remove(&removed.id).await?;
    for (gone, what) in [(n2.sample(), "an id that was never created"), (removed, "a removed session")] {
        let to = n2.sample();
        let answer = rename(&n2, &gone, &version, &to).await?;
        n2.equal(Rename::Gone, answer, format_args!("`rename` of {what}"))?;
        n2.absent(&gone.id, &format!("after a `rename` of {what}, the old id")).await?;
        n2.absent(&to.id, &format!("after a `rename` of {what}, the new id")).await?;
    }
    Ok(())
}

pub(super) async fn n3_a_remove_beats_a_rename(bench: Bench) -> Verdict {
    let n3 = bench.about("N3");
    for way in n3.ways() {
        let (from, version) = n3.created().await?;
        let to = n3.sample();
        let (first, second, id) = (n3.clone(), n3.other(way), from.id);
        let (old, new) = (from.clone(), to.clone());
        let renaming = async move { rename(&first, &old, &version, &new).await };
        let (renamed, removed) = way.run(renaming, async move { second.remove(&id).await }).await;
        let (renamed, removed) = (renamed?, removed?);
        let when = format!("after `rename` ({renamed:?}) and `remove` ({removed}) of the old id at once");
        if let Some(stored) = n3.load(&from.id).await? {
            let kind = stored.record.kind();
            n3.equal(RecordKind::Tombstone, kind, format_args!("{when}, the old id has a record of the kind"))?;
        }
        match renamed {
            Rename::Renamed(version) => {
                n3.unchanged(&to.id, &to.record, &version, &format!("{when}, the new id")).await?;
            }
            Rename::Gone => n3.absent(&to.id, &format!("{when}, the new id")).await?,
            other => n3.broken(format!("`rename` concurrent with a `remove` answered {other:?}"))?,
        }
    }
    Ok(())
}

pub(super) async fn n4_one_of_rename_and_update_wins(bench: Bench) -> Verdict {
    let n4 = bench.about("N4");
    for way in n4.ways() {
        let (from, version) = n4.created().await?;
        let to = n4.sample();
        let (first, second) = (n4.clone(), n4.other(way));
        let renaming = Arc::new(Renaming::new(to.clone()));
        let (old, ours) = (from.id, Arc::clone(&renaming));
        let moving = async move { ours.run(&first, &old, &version).await };
        let (Sample { id, usage, .. }, record) = (from.clone(), from.variant(1));
        let updating = async move { second.update(&id, &record, &version, usage).await };
        let (renamed, updated) = way.run(moving, updating).await;
        match (renamed?, updated?) {
            (Rename::Renamed(_), Update::Conflict(_)) => {
                renaming.left(&n4, &from.id, "after a `rename` that beat an `update`, the old id").await?;
                n4.present(&to.id, "after a `rename` that beat an `update`, the new id").await?;
            }
            (Rename::Conflict(_), Update::Updated(version)) => {
                let when = "after an `update` that beat a `rename`";
                n4.unchanged(&from.id, &from.variant(1), &version, &format!("{when}, the old id")).await?;
                n4.absent(&to.id, &format!("{when}, the new id")).await?;
            }
            both => return n4.broken(format!("a `rename` and an `update` that expect one version answered {both:?}")),
        }
    }
    Ok(())
}

pub(super) async fn n4_one_of_two_renames_wins(bench: Bench) -> Verdict {
    let n4 = bench.about("N4");
    for way in n4.ways() {
        let (from, version) = n4.created().await?;
        let targets = [n4.sample(), n4.sample()].map(|to| Arc::new(Renaming::new(to)));
        let party = |probe: Probe, ours: &Arc<Renaming>| {
            let (from, ours) = (from.id, Arc::clone(ours));
            async move { ours.run(&probe, &from, &version).await }
        };
        let [one, two] = &targets;
        let (a, b) = way.run(party(n4.clone(), one), party(n4.other(way), two)).await;
        let (winner, loser, version) = match (a?, b?) {
            (Rename::Renamed(version), Rename::Conflict(_)) => (one, two, version),
            (Rename::Conflict(_), Rename::Renamed(version)) => (two, one, version),
            both => return n4.broken(format!("two `rename`s that expect one version answered {both:?}")),
        };
        winner.left(&n4, &from.id, "after two `rename`s at once, the old id").await?;
        let Sample { id, record, .. } = &winner.to;
        n4.unchanged(id, record, &version, "after two `rename`s at once, the winner's id").await?;
        n4.absent(&loser.to.id, "after two `rename`s at once, the loser's id").await?;
    }
    Ok(())
}
