//! C1-C3: `create` never replaces.

use super::super::{
    bench::Bench,
    sample::{Sample, owner},
    verdict::Verdict,
};
use crate::{
    record::Record,
    store::{Create, Usage},
};

pub(super) async fn c1_create_never_replaces(bench: Bench) -> Verdict {
    let c1 = bench.about("C1");
    let plain = c1.sample();
    let tombstone = Sample::of(plain.id, Record::plain_tombstone(plain.record.check(), c1.now()), c1.now());
    let another = c1.sample();
    let epoch = Sample::of(another.id, Record::epoch(owner("c1"), c1.now()), c1.now());
    for there in [c1.sample(), tombstone, epoch] {
        let kind = there.record.kind();
        let version = c1.create_sample(&there).await?;
        let before = c1.present(&there.id, "after `create`").await?;
        let other = c1.sample();
        let longer = Usage::keep_for(c1.now(), std::time::Duration::from_secs(7_200));
        for record in [&other.record, &there.record] {
            let answer = c1.create(&there.id, record, longer).await?;
            c1.equal(Create::Exists, answer, format_args!("`create` over a live record of kind {kind:?}"))?;
            let when = format!("after a `create` over a live record of kind {kind:?}");
            c1.unchanged(&there.id, &there.record, &version, &when).await?;
            let now = c1.present(&there.id, &when).await?;
            c1.same_expiry(&before, &now, &when)?;
        }
    }
    Ok(())
}

pub(super) async fn c2_one_of_two_creates_wins(bench: Bench) -> Verdict {
    let c2 = bench.about("C2");
    for (number, way) in c2.ways().enumerate() {
        let session = c2.sample();
        if number % 4 == 3 {
            // An id that was in use before: its remains must not help either call.
            c2.create_sample(&session).await?;
            c2.remove(&session.id).await?;
        }
        let (one, two) = (session.variant(1), session.variant(2));
        let (first, second) = (c2.clone(), c2.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), one.clone());
        let a = async move { first.create(&id, &record, usage).await };
        let record = two.clone();
        let b = async move { second.create(&id, &record, usage).await };
        let (a, b) = way.run(a, b).await;
        let (winner, version) = match (a?, b?) {
            (Create::Created(version), Create::Exists) => (one, version),
            (Create::Exists, Create::Created(version)) => (two, version),
            both => return c2.broken(format!("two `create`s of one id at once answered {both:?}")),
        };
        c2.unchanged(&session.id, &winner, &version, "after two `create`s at once").await?;
    }
    Ok(())
}

pub(super) async fn c3_a_freed_id_is_as_new(bench: Bench) -> Verdict {
    let c3 = bench.about("C3");
    let (removed, _) = c3.created().await?;
    let expired = c3.sample().with_usage(c3.keep(2));
    c3.create_sample(&expired).await?;
    c3.remove(&removed.id).await?;
    c3.past(expired.usage.expires_at).await;
    for (old, how) in [(removed, "was removed"), (expired, "has expired")] {
        let record = old.variant(1);
        let new = Sample::of(old.id, (*record).clone(), c3.now());
        let when = format!("after a `create` where a record {how}");
        let version = match c3.create(&new.id, &new.record, new.usage).await? {
            Create::Created(version) => version,
            Create::Exists => return c3.broken(format!("`create` where a record {how} answered Exists")),
        };
        c3.unchanged(&new.id, &new.record, &version, &when).await?;
        let stored = c3.present(&new.id, &when).await?;
        c3.expires(new.usage.expires_at, stored.expires_at, &when)?;
        let version = c3.updated(&new, &new.variant(2), &version).await?;
        c3.unchanged(&new.id, &new.variant(2), &version, &format!("{when} and an `update`")).await?;
    }
    Ok(())
}
