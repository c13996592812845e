//! T1-T4: `touch` moves last use and expiry, and nothing else.

use std::time::Duration;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, identity, shapes, tombstone},
    verdict::Verdict,
};
use crate::{
    lifetime::Lifetime,
    record::Record,
    store::{Touch, Usage},
};

pub(super) async fn t1_record_and_version_stay(bench: Bench) -> Verdict {
    let t1 = bench.about("T1");
    let later = Usage::keep_for(t1.now(), Duration::from_secs(7_200));
    for (shape, record) in shapes(t1.now(), t1.harness().holds.min(10_000)) {
        let session = Sample::of(identity().0, record, t1.now());
        let version = t1.create_sample(&session).await?;
        for time in ["one", "two"] {
            t1.equal(Touch::Touched, t1.touch(&session.id, later).await?, format_args!("`touch` of {shape}"))?;
            let when = format!("after `touch` number {time} of {shape}");
            t1.unchanged(&session.id, &session.record, &version, &when).await?;
        }
        t1.updated(&session, &session.record, &version).await?;
    }
    Ok(())
}

pub(super) async fn t2_touch_never_creates(bench: Bench) -> Verdict {
    let t2 = bench.about("T2");
    gone(&t2, &t2.sample(), "an id that was never created").await?;
    let (removed, _) = t2.created().await?;
    t2.remove(&removed.id).await?;
    gone(&t2, &removed, "a removed session").await?;
    let expired = t2.sample().with_usage(t2.keep(2));
    t2.create_sample(&expired).await?;
    t2.past(expired.usage.expires_at).await;
    gone(&t2, &expired.with_usage(t2.keep(100)), "an expired session").await
}

async fn gone(t2: &Probe, session: &Sample, what: &str) -> Verdict {
    t2.equal(Touch::Gone, t2.touch(&session.id, session.usage).await?, format_args!("`touch` of {what}"))?;
    t2.absent(&session.id, &format!("after a `touch` of {what}")).await
}

pub(super) async fn t2_a_remove_beats_a_touch(bench: Bench) -> Verdict {
    let t2 = bench.about("T2");
    for way in t2.ways() {
        let (session, _) = t2.created().await?;
        let (first, second, Sample { id, usage, .. }) = (t2.clone(), t2.other(way), session.clone());
        let touch = async move { first.touch(&id, usage).await };
        let remove = async move { second.remove(&id).await };
        let (touched, removed) = way.run(touch, remove).await;
        let (touched, removed) = (touched?, removed?);
        let when = format!("after `touch` ({touched:?}) and `remove` ({removed}) at once");
        t2.absent(&session.id, &when).await?;
        t2.other(way).absent(&session.id, &when).await?;
        t2.holds(removed, "`remove` concurrent with a `touch` answered false")?;
    }
    Ok(())
}

pub(super) async fn t3_the_absolute_limit_holds(bench: Bench) -> Verdict {
    let t3 = bench.about("T3");
    let (id, check) = identity();
    let hour = Duration::from_secs(3_600);
    // A session with three units left of its hour.
    let created_at = t3.now() - hour + t3.units(3);
    let record = Record::session(check, created_at, Lifetime::new(hour, hour).expect("longer than a second"));
    let limit = record.absolute_limit();
    let session = Sample::of(id, record, t3.now());
    t3.create_sample(&session).await?;
    for _ in 0..2 {
        let beyond = Usage::keep_for(t3.now(), hour);
        t3.equal(Touch::Touched, t3.touch(&id, beyond).await?, "`touch` of a session shortly before its limit")?;
        let stored = t3.present(&id, "after a `touch` past the absolute limit").await?;
        t3.expires(limit, stored.expires_at, "after a `touch` past the absolute limit")?;
        t3.until(t3.now() + t3.units(1)).await;
    }
    t3.past(limit).await;
    t3.absent(&id, "after the absolute limit of a session that was touched past it").await
}

pub(super) async fn t4_nothing_gets_earlier(bench: Bench) -> Verdict {
    let t4 = bench.about("T4");
    let session = t4.sample().with_usage(t4.keep(100));
    t4.create_sample(&session).await?;
    let (left, now) = (tombstone(t4.now()), t4.now());
    let kept = Usage { used_at: now, expires_at: left.absolute_limit() };
    let renewed = Sample::of(identity().0, (*left).clone(), now).with_usage(kept);
    t4.create_sample(&renewed).await?;
    for (stored, what) in [(&session, "a session"), (&renewed, "a tombstone")] {
        // As from a request that came earlier, or from a layer with a shorter idle timeout.
        let earlier = Usage { used_at: now - t4.units(5), expires_at: now + t4.units(10) };
        t4.equal(Touch::Touched, t4.touch(&stored.id, earlier).await?, format_args!("an earlier `touch` of {what}"))?;
        let when = format!("after an earlier `touch` of {what}");
        let held = t4.present(&stored.id, &when).await?;
        t4.expires(stored.usage.expires_at, held.expires_at, &when)?;
        t4.holds(
            !t4.exact() || held.used_at >= stored.usage.used_at,
            format_args!("{when}, the last use is {:?} before", now.duration_since(held.used_at).unwrap_or_default()),
        )?;
    }
    let later = Usage::keep_for(t4.now(), t4.units(200));
    t4.equal(Touch::Touched, t4.touch(&session.id, later).await?, "a later `touch`")?;
    let held = t4.present(&session.id, "after a later `touch`").await?;
    t4.expires(later.expires_at, held.expires_at, "after a later `touch`")
}
