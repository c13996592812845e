//! W1 and W2: removal that frees space.

use std::time::Duration;

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, identity},
    verdict::Verdict,
};
use crate::{
    lifetime::Lifetime,
    record::Record,
    store::{Idle, Touch, Usage},
};

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) async fn w1_expired_are_swept(bench: Bench) -> Verdict {
    let w1 = bench.about("W1");
    let empty = w1.sweep().await?;
    w1.equal((0, 0), (empty.deleted, empty.remaining), "deleted and remaining of a `sweep` of an empty store")?;
    let mut live = Vec::new();
    for _ in 0..4 {
        live.push(w1.created().await?);
    }
    let usage = w1.keep(2);
    for _ in 0..3 {
        w1.create_sample(&w1.sample().with_usage(usage)).await?;
    }
    // Records that are not sessions stay, too, and are not counted.
    let (id, check) = identity();
    let tombstone = Sample::of(id, Record::plain_tombstone(check, w1.now()), w1.now());
    w1.create_sample(&tombstone).await?;
    w1.ensure_epoch("somebody", w1.keep(1_000)).await?;
    let early = w1.sweep().await?;
    w1.equal((0, 7), (early.deleted, early.remaining), "deleted and remaining of a `sweep` before anything expires")?;

    w1.past(usage.expires_at).await;
    let swept = w1.sweep().await?;
    w1.equal((3, 4), (swept.deleted, swept.remaining), "deleted and remaining of a `sweep` of 3 expired and 4 live")?;
    for (session, version) in &live {
        w1.unchanged(&session.id, &session.record, version, "a live session after a `sweep`").await?;
    }
    w1.present(&tombstone.id, "a live tombstone after a `sweep`").await?;
    let again = w1.sweep().await?;
    w1.equal((0, 4), (again.deleted, again.remaining), "deleted and remaining of a second `sweep`")
}

/// Creates a session that was last used this long ago and expires 48 hours after that use.
async fn used(w2: &Probe, ago: Duration) -> Verdict<Sample> {
    let (id, check) = identity();
    let lifetime = Lifetime::new(10 * HOUR, 240 * HOUR).expect("longer than a second");
    let record = Record::session(check, w2.now() - 20 * HOUR, lifetime);
    let usage = Usage::keep_for(w2.now() - ago, 48 * HOUR);
    let session = Sample::of(id, record, w2.now()).with_usage(usage);
    w2.create_sample(&session).await?;
    Ok(session)
}

pub(super) async fn w2_idle_are_deleted(bench: Bench) -> Verdict {
    let w2 = bench.about("W2");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let fresh = used(&w2, Duration::ZERO).await?;
    let recent = used(&w2, minutes(290)).await?;
    // Touches are throttled to a tenth of the idle timeout, which is an hour here: it may have been used 4:30 hours
    // ago.
    let throttled = used(&w2, minutes(330)).await?;
    let idle = [used(&w2, 7 * HOUR).await?, used(&w2, 19 * HOUR).await?];
    let touched = used(&w2, 9 * HOUR).await?;
    let usage = Usage::keep_for(w2.now(), 24 * HOUR);
    w2.equal(Touch::Touched, w2.touch(&touched.id, usage).await?, "`touch` of an idle session")?;

    let swept = w2.delete_idle(Idle::new(5 * HOUR)).await?;
    for session in &idle {
        w2.absent(&session.id, "a session used 7 hours ago or more, after `delete_idle` of 5 hours").await?;
    }
    for (session, what) in [
        (fresh, "a session used just now"),
        (recent, "a session used 4:50 hours ago"),
        (throttled, "a session recorded as used 5:30 hours ago, with an idle time of 10 hours"),
        (touched, "a session touched just now"),
    ] {
        w2.present(&session.id, &format!("{what}, after `delete_idle` of 5 hours")).await?;
    }
    w2.equal((2, 4), (swept.deleted, swept.remaining), "deleted and remaining of `delete_idle`")
}
