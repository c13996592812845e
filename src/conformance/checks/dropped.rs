//! G3: a dropped future leaves the old state or the new one, whole, and holds nothing back.

use std::sync::Arc;

use super::super::{
    bench::Bench,
    judge::APART,
    probe::Probe,
    race::Cut,
    sample::{Sample, tombstone},
    verdict::Verdict,
};
use crate::{
    record::RecordKind,
    store::{Acquire, Holder, Rename, SessionStore, Stored, Touch, Update, Usage, Version, require},
};

/// How often a write is retried over a dropped one, which may still take effect.
const TRIES: usize = 20;

fn cuts(g3: &Probe) -> impl Iterator<Item = Cut> + use<> {
    Cut::all(g3.harness().rounds.div_ceil(4))
}

pub(super) async fn g3_a_dropped_create_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for cut in cuts(&g3) {
        let session = g3.sample();
        let (store, Sample { id, record, usage }) = (g3.store().clone(), session.clone());
        cut.run(async move { store.create(&id, &record, usage).await }).await;
        if let Some(stored) = g3.load(&session.id).await? {
            whole(&g3, &stored, &[(&session, None)], "after a dropped `create`")?;
        }
        g3.create(&session.id, &session.record, session.usage).await?;
        let stored = g3.present(&session.id, "after a dropped `create` and a whole one").await?;
        whole(&g3, &stored, &[(&session, None)], "after a dropped `create` and a whole one")?;
        g3.equal(true, g3.remove(&session.id).await?, "`remove` after a dropped `create` and a whole one")?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_update_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for cut in cuts(&g3) {
        let (old, version) = g3.created().await?;
        let new = newer(&g3, &old, 1);
        let (store, sample) = (g3.store().clone(), new.clone());
        cut.run(async move { store.update(&sample.id, &sample.record, &version, sample.usage).await }).await;
        let stored = g3.present(&old.id, "after a dropped `update`").await?;
        whole(&g3, &stored, &[(&old, Some(version)), (&new, None)], "after a dropped `update`")?;
        g3.holds(
            *stored.record == *old.record || stored.version != version,
            "after a dropped `update`: the new record is there in the old version",
        )?;
        let last = newer(&g3, &old, 2);
        update_at_last(&g3, &last).await?;
        let stored = g3.present(&old.id, "after a dropped `update` and a whole one").await?;
        whole(&g3, &stored, &[(&last, None)], "after a dropped `update` and a whole one")?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_touch_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for cut in cuts(&g3) {
        let (session, version) = g3.created().await?;
        let touched = session.clone().with_usage(newer(&g3, &session, 1).usage);
        let (store, sample) = (g3.store().clone(), touched.clone());
        cut.run(async move { store.touch(&sample.id, sample.usage).await }).await;
        let stored = g3.present(&session.id, "after a dropped `touch`").await?;
        let either = [(&session, Some(version)), (&touched, Some(version))];
        whole(&g3, &stored, &either, "after a dropped `touch`")?;
        let answer = g3.touch(&session.id, touched.usage).await?;
        g3.equal(Touch::Touched, answer, "`touch` after a dropped one")?;
        let stored = g3.present(&session.id, "after a dropped `touch` and a whole one").await?;
        whole(&g3, &stored, &[(&touched, Some(version))], "after a dropped `touch` and a whole one")?;
        update_at_last(&g3, &newer(&g3, &session, 2)).await?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_remove_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for cut in cuts(&g3) {
        let (session, version) = g3.created().await?;
        let (store, id) = (g3.store().clone(), session.id);
        cut.run(async move { store.remove(&id).await }).await;
        if let Some(stored) = g3.load(&session.id).await? {
            whole(&g3, &stored, &[(&session, Some(version))], "after a dropped `remove`")?;
        }
        g3.remove(&session.id).await?;
        g3.absent(&session.id, "after a dropped `remove` and a whole one").await?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_rename_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for cut in cuts(&g3) {
        let (from, version) = g3.created().await?;
        let to = g3.sample();
        let (store, id, new) = (g3.store().clone(), from.id, to.clone());
        cut.run(async move {
            store.rename(&id, &version, &tombstone(new.usage.used_at), &new.id, &new.record, new.usage).await
        })
        .await;
        // In this order: a rename that still takes effect stores `to` before the tombstone.
        let old = g3.present(&from.id, "after a dropped `rename`, the old id").await?;
        let new = g3.load(&to.id).await?;
        if old.record.kind() == RecordKind::Tombstone {
            g3.holds(new.is_some(), "after a dropped `rename`: the old id is a tombstone and the new one is absent")?;
        } else {
            whole(&g3, &old, &[(&from, Some(version))], "after a dropped `rename`, the old id")?;
        }
        if let Some(new) = new {
            whole(&g3, &new, &[(&to, None)], "after a dropped `rename`, the new id")?;
        }
        let another = g3.sample();
        match g3
            .rename(&from.id, &version, &tombstone(another.usage.used_at), &another.id, &another.record, another.usage)
            .await?
        {
            Rename::Renamed(_) => {
                let stored = g3.present(&another.id, "after a dropped `rename` and a whole one").await?;
                whole(&g3, &stored, &[(&another, None)], "after a dropped `rename` and a whole one")?;
            }
            // The dropped one took effect after all.
            Rename::Conflict(_) => g3.absent(&another.id, "after a `rename` that was answered Conflict").await?,
            other => g3.broken(format!("`rename` after a dropped one answered {other:?}"))?,
        }
        let old = g3.present(&from.id, "after a dropped `rename` and a whole one, the old id").await?;
        g3.equal(RecordKind::Tombstone, old.record.kind(), "what is at the old id after two renames")?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_load_holds_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    let (one, version_of_one) = g3.created().await?;
    let (two, version_of_two) = g3.created().await?;
    for cut in cuts(&g3) {
        let (store, id) = (g3.store().clone(), one.id);
        cut.run(async move { store.load(&id).await }).await;
        // Loads the other session first: a reply that was left in the connection must not be taken for its own.
        g3.unchanged(&two.id, &two.record, &version_of_two, "after a dropped `load` of another session").await?;
        g3.unchanged(&one.id, &one.record, &version_of_one, "after a dropped `load`").await?;
    }
    update_at_last(&g3, &newer(&g3, &one, 1)).await?;
    g3.equal(true, g3.remove(&two.id).await?, "`remove` after dropped loads")
}

pub(super) async fn g3_a_dropped_lock_ends_at_its_time(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    let holder = || Holder::generate().expect("the operating system gives random numbers");
    // If the store has its own clock, each round really waits.
    let exact = g3.exact();
    let (probe, _) = g3.created().await?;
    g3.acquire(&probe.id, holder(), g3.units(1)).await?;
    for cut in cuts(&g3).filter(|cut| exact || matches!(cut, Cut::Polls(2))) {
        let (session, _) = g3.created().await?;
        let (store, id, first, time) = (g3.store().clone(), session.id, holder(), g3.units(1));
        cut.run(async move { require::leases(&store, "acquire")?.acquire(&id, first, time).await }).await;
        g3.past(g3.now() + g3.units(2)).await;
        let answer = g3.acquire(&session.id, holder(), g3.units(1)).await?;
        let acquired = matches!(answer, Acquire::Acquired { .. });
        g3.holds(acquired, format_args!("`acquire` after the time of a dropped `acquire` answered {answer:?}"))?;
        update_at_last(&g3, &newer(&g3, &session, 1)).await?;
        g3.equal(true, g3.remove(&session.id).await?, "`remove` after a dropped `acquire`")?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_unlock_holds_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    let holder = || Holder::generate().expect("the operating system gives random numbers");
    for cut in cuts(&g3) {
        let (session, _) = g3.created().await?;
        let (store, id, first, second) = (g3.store().clone(), session.id, holder(), holder());
        let locked = g3.acquire(&id, first, g3.units(20)).await?;
        g3.holds(
            matches!(locked, Acquire::Acquired { .. }),
            format_args!("`acquire` of a session answered {locked:?}"),
        )?;
        cut.run(async move { require::leases(&store, "release")?.release(&id, first).await }).await;
        g3.present(&id, "after a dropped `release`").await?;
        // The dropped `release` or this one gave the lease back.
        g3.release(&id, first).await?;
        let locked = g3.acquire(&id, second, g3.units(20)).await?;
        let acquired = matches!(locked, Acquire::Acquired { .. });
        g3.holds(acquired, format_args!("`acquire` after a dropped `release` and a whole one answered {locked:?}"))?;
    }
    Ok(())
}

pub(super) async fn g3_a_dropped_epoch_call_is_whole_or_nothing(bench: Bench) -> Verdict {
    let g3 = bench.about("G3");
    for (number, cut) in cuts(&g3).enumerate() {
        let (owner, usage) = (format!("owner {number}"), g3.keep(1_000));
        let (store, name) = (g3.store().clone(), owner.clone());
        cut.run(async move { store.ensure_epoch(&name, usage).await }).await;
        let before = g3.owner_epoch(&owner).await?;
        let epoch = g3.ensure_epoch(&owner, usage).await?;
        g3.holds(
            before.is_none_or(|before| before == epoch),
            "`ensure_epoch` after a dropped one answered another epoch than `owner_epoch` in between",
        )?;
        let (store, name) = (g3.store().clone(), owner.clone());
        cut.run(async move { store.renew_epoch(&name, usage).await }).await;
        let between = g3.owner_epoch(&owner).await?;
        g3.renew_epoch(&owner, usage).await?;
        let after = g3.owner_epoch(&owner).await?;
        g3.holds(after != Some(epoch), "`owner_epoch` after a dropped `renew_epoch` and a whole one is the old one")?;
        g3.holds(
            between.is_none() || between == Some(epoch) || after != between,
            "`owner_epoch` after a whole `renew_epoch` is the one that a dropped one had made",
        )?;
    }
    Ok(())
}

/// The same session, changed and used later.
fn newer(g3: &Probe, session: &Sample, number: usize) -> Sample {
    let later = APART * (u32::try_from(number).unwrap_or(0) + 1);
    let usage = Usage::keep_for(g3.now(), std::time::Duration::from_secs(7_200) + later);
    Sample { id: session.id, record: session.variant(number), usage }
}

/// Fails unless the stored state is one of these, with its record, its expiry and, if known, its version.
fn whole(g3: &Probe, stored: &Stored, states: &[(&Sample, Option<Version>)], when: &str) -> Verdict {
    let is = |(sample, version): &(&Sample, Option<Version>)| {
        *stored.record == *sample.record
            && version.is_none_or(|version| version == stored.version)
            && g3.is_expiry(sample.usage.expires_at, stored.expires_at)
    };
    g3.holds(
        states.iter().any(is),
        format_args!("{when}: `load` answered neither the old state nor the new one, but {stored:?}"),
    )
}

/// Updates whatever is stored. A dropped call may still take effect and cost a try.
async fn update_at_last(g3: &Probe, sample: &Sample) -> Verdict {
    for _ in 0..TRIES {
        let stored = g3.present(&sample.id, "before an `update` over a dropped call").await?;
        let record = Arc::clone(&sample.record);
        match g3.update(&sample.id, &record, &stored.version, sample.usage).await? {
            Update::Updated(_) => return Ok(()),
            Update::Conflict(_) => tokio::task::yield_now().await,
            Update::Gone => return g3.broken("`update` over a dropped call answered Gone"),
        }
    }
    g3.broken(format!("`update` over a dropped call answered Conflict {TRIES} times"))
}
