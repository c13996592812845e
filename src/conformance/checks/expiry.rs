//! G4: an expired record is absent.

use std::sync::Arc;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, owner, tombstone},
    verdict::Verdict,
};
use crate::{
    clock,
    store::{Acquire, Holder, Refresh, Rename, Stored, Touch, Update, Usage, Version},
};

/// How many units the sessions of these checks live.
const LIFE: u32 = 3;

/// A part of a second.
const ODD: std::time::Duration = std::time::Duration::from_millis(437);

pub(super) async fn g4_expired_is_absent_for_every_method(bench: Bench) -> Verdict {
    let g4 = bench.about("G4");
    let usage = g4.keep(LIFE);
    // One session for each call, since the first call that finds an expired session may remove it.
    let (loaded, _) = short(&g4, usage).await?;
    let (updated, version_of_updated) = short(&g4, usage).await?;
    let (touched, _) = short(&g4, usage).await?;
    let (removed, _) = short(&g4, usage).await?;
    let (created, _) = short(&g4, usage).await?;
    let (renamed, version_of_renamed) = short(&g4, usage).await?;
    let (target, _) = short(&g4, usage).await?;
    let (refreshed, version_of_refreshed) = short(&g4, usage).await?;
    let (locked, _) = short(&g4, usage).await?;
    let (listed, _) = short(&g4, usage).await?;
    let owned = g4.sample();
    let owned = Sample::of(owned.id, (*owned.record).clone().with_owner(Some(owner("g4"))), g4.now()).with_usage(usage);
    g4.create_sample(&owned).await?;
    g4.ensure_epoch("g4-epoch", usage).await?;

    g4.past(usage.expires_at).await;

    g4.absent(&loaded.id, "after its expiry").await?;
    let later = g4.keep(100);
    let answer = g4.update(&updated.id, &updated.variant(1), &version_of_updated, later).await?;
    g4.equal(Update::Gone, answer, "`update` of an expired session")?;
    g4.absent(&updated.id, "after an `update` of an expired session").await?;
    g4.equal(Touch::Gone, g4.touch(&touched.id, later).await?, "`touch` of an expired session")?;
    g4.absent(&touched.id, "after a `touch` of an expired session").await?;
    g4.equal(false, g4.remove(&removed.id).await?, "`remove` of an expired session")?;
    g4.create_sample(&created.clone().with_usage(later)).await?;
    g4.present(&created.id, "after a `create` where one had expired").await?;
    let to = g4.sample();
    let answer =
        g4.rename(&renamed.id, &version_of_renamed, &tombstone(to.usage.used_at), &to.id, &to.record, to.usage).await?;
    g4.equal(Rename::Gone, answer, "`rename` of an expired session")?;
    g4.absent(&to.id, "after a `rename` of an expired session, the new id").await?;
    let (living, version) = g4.created().await?;
    let answer = g4.rename(&living.id, &version, &tombstone(later.used_at), &target.id, &target.record, later).await?;
    let renamed = matches!(answer, Rename::Renamed(_));
    g4.holds(renamed, format_args!("`rename` to an id whose session has expired answered {answer:?}"))?;
    let held = Stored::new(Arc::clone(&refreshed.record), version_of_refreshed, usage);
    let answer = g4.refresh(&refreshed.id, &held).await?;
    g4.holds(matches!(answer, Refresh::Gone), format_args!("`refresh` of an expired session answered {answer:?}"))?;
    g4.equal(None, g4.owner_epoch("g4-epoch").await?, "`owner_epoch` of an expired epoch")?;

    let holder = Holder::generate().expect("the operating system gives random numbers");
    if let Some(answer) = g4.optional(g4.acquire(&locked.id, holder, g4.units(1)).await)? {
        g4.equal(Acquire::Absent, answer, "`acquire` of an expired session")?;
    }
    if let Some(ids) = g4.optional(super::listing::walk(&g4, 10).await)? {
        g4.holds(!ids.contains(&listed.id), "`ids` names an expired session")?;
    }
    if let Some(sessions) = g4.optional(g4.list_owner("g4").await)? {
        g4.equal(0, sessions.len(), "how many sessions `list_owner` lists of an owner whose only one has expired")?;
    }
    Ok(())
}

pub(super) async fn g4_it_lives_until_its_time(bench: Bench) -> Verdict {
    let g4 = bench.about("G4");
    // Not at a whole second, so that a store that rounds is early or late.
    let odd = |usage: Usage| Usage { expires_at: clock::later(usage.expires_at, ODD), ..usage };
    let usage = odd(g4.keep(LIFE));
    let (session, version) = short(&g4, usage).await?;
    let (touched, _) = short(&g4, usage).await?;
    // Nothing else loads this one before it has expired.
    let (late, _) = short(&g4, usage).await?;
    if !g4.exact() {
        // If time passes by itself, the last instant before the expiry can't be hit.
        g4.until(clock::later(usage.used_at, g4.units(1))).await;
        let verdict = g4.unchanged(&session.id, &session.record, &version, "in the first third of its life").await;
        // On a busy machine, so much time may have passed that its life is over.
        return if g4.now() < usage.expires_at { verdict } else { Ok(()) };
    }
    let millisecond = std::time::Duration::from_millis(1);
    g4.until(usage.expires_at - millisecond).await;
    g4.unchanged(&session.id, &session.record, &version, "a millisecond before its expiry").await?;
    let later = odd(g4.keep(LIFE));
    g4.equal(Touch::Touched, g4.touch(&touched.id, later).await?, "`touch` a millisecond before the expiry")?;
    g4.past(usage.expires_at).await;
    g4.absent(&session.id, "at the instant of its expiry").await?;
    g4.equal(Touch::Gone, g4.touch(&late.id, g4.keep(100)).await?, "`touch` at the instant of the expiry")?;
    g4.absent(&late.id, "after a `touch` at the instant of the expiry").await?;
    g4.present(&touched.id, "after the expiry from which it was touched away").await?;
    g4.past(later.expires_at).await;
    g4.absent(&touched.id, "at the expiry that the touch has set").await
}

async fn short(g4: &Probe, usage: Usage) -> Verdict<(Sample, Version)> {
    let session = g4.sample().with_usage(usage);
    let version = g4.create_sample(&session).await?;
    Ok((session, version))
}
