//! U1-U5: `update` replaces only the expected version.

use std::{collections::HashSet, sync::Arc};

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, entries},
    verdict::Verdict,
};
use crate::store::{Acquire, Holder, Stored, Update, Usage, Version};

pub(super) async fn u1_update_never_creates(bench: Bench) -> Verdict {
    let u1 = bench.about("U1");
    let (_, some_version) = u1.created().await?;
    let never = u1.sample();
    gone(&u1, &never, &some_version, "an id that was never created").await?;

    let (removed, version) = u1.created().await?;
    u1.remove(&removed.id).await?;
    gone(&u1, &removed, &version, "a removed session").await?;

    let (updated, version) = u1.created().await?;
    let version = u1.updated(&updated, &updated.variant(1), &version).await?;
    u1.remove(&updated.id).await?;
    gone(&u1, &updated, &version, "a session that was updated and removed").await?;

    let expired = u1.sample().with_usage(u1.keep(2));
    let version = u1.create_sample(&expired).await?;
    u1.past(expired.usage.expires_at).await;
    gone(&u1, &expired.with_usage(u1.keep(100)), &version, "an expired session").await
}

async fn gone(u1: &Probe, session: &Sample, version: &Version, what: &str) -> Verdict {
    let answer = u1.update(&session.id, &session.variant(9), version, session.usage).await?;
    u1.equal(Update::Gone, answer, format_args!("`update` of {what}"))?;
    u1.absent(&session.id, &format!("after an `update` of {what}")).await
}

pub(super) async fn u2_another_version_is_a_conflict(bench: Bench) -> Verdict {
    let u2 = bench.about("U2");
    let (session, first) = u2.created().await?;
    let mut stale = vec![first];
    let mut version = first;
    for number in 1..6 {
        version = u2.updated(&session, &session.variant(number), &version).await?;
        let before = u2.present(&session.id, "after `update`").await?;
        for old in &stale {
            let later = Usage::keep_for(u2.now(), std::time::Duration::from_secs(7_200));
            let answer = u2.update(&session.id, &session.variant(100), old, later).await?;
            u2.equal(Update::Conflict(None), answer, "`update` that expects an older version")?;
            let when = "after an `update` that expects an older version";
            u2.unchanged(&session.id, &session.variant(number), &version, when).await?;
            let now = u2.present(&session.id, when).await?;
            u2.same_expiry(&before, &now, when)?;
        }
        stale.push(version);
    }
    Ok(())
}

pub(super) async fn u3_one_of_two_updates_wins(bench: Bench) -> Verdict {
    let u3 = bench.about("U3");
    for way in u3.ways() {
        let (session, version) = u3.created().await?;
        let (one, two) = (session.variant(1), session.variant(2));
        let (first, second) = (u3.clone(), u3.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), Arc::clone(&one));
        let a = async move { first.update(&id, &record, &version, usage).await };
        let record = Arc::clone(&two);
        let b = async move { second.update(&id, &record, &version, usage).await };
        let (a, b) = way.run(a, b).await;
        let (winner, version) = match (a?, b?) {
            (Update::Updated(version), Update::Conflict(_)) => (one, version),
            (Update::Conflict(_), Update::Updated(version)) => (two, version),
            both => return u3.broken(format!("two `update`s that expect one version answered {both:?}")),
        };
        u3.unchanged(&session.id, &winner, &version, "after two `update`s that expect one version").await?;
    }
    Ok(())
}

pub(super) async fn u3_no_increment_is_lost(bench: Bench) -> Verdict {
    const PARTIES: usize = 8;
    let u3 = bench.about("U3");
    let each = usize::try_from(u3.harness().rounds.div_ceil(4)).unwrap_or(1);
    let (session, _) = u3.created().await?;
    let counted = |number: usize| {
        let value = number.to_string();
        Arc::new((*session.record).clone().with_entries(entries(&[("n", value.as_bytes())])))
    };
    let start = u3.present(&session.id, "after `create`").await?;
    u3.updated(&session, &counted(0), &start.version).await?;
    let mut tasks = Vec::new();
    for party in 0..PARTIES {
        let probe = if party % 2 == 0 { u3.clone() } else { u3.other(super::super::race::Way::FirstHeld(0)) };
        let session = session.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..each {
                increment(&probe, &session).await?;
            }
            Ok(())
        }));
    }
    for task in tasks {
        match task.await {
            Ok(verdict) => verdict?,
            Err(error) => return u3.broken(format!("`update` panicked: {error}")),
        }
    }
    let stored = u3.present(&session.id, "after all increments").await?;
    let total = number_in(&u3, &stored)?;
    u3.equal(PARTIES * each, total, format_args!("{PARTIES} tasks with {each} increments each, the sum"))
}

async fn increment(u3: &Probe, session: &Sample) -> Verdict {
    loop {
        let stored = u3.present(&session.id, "between increments").await?;
        let value = (number_in(u3, &stored)? + 1).to_string();
        let record = Arc::new((*session.record).clone().with_entries(entries(&[("n", value.as_bytes())])));
        match u3.update(&session.id, &record, &stored.version, session.usage).await? {
            Update::Updated(_) => return Ok(()),
            Update::Conflict(_) => {}
            Update::Gone => return u3.broken("`update` of a session that is never removed answered Gone"),
        }
    }
}

fn number_in(u3: &Probe, stored: &Stored) -> Verdict<usize> {
    let value = stored.record.entries().get("n").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    value.map_or_else(|| u3.broken("the counter that was stored has no number in it"), Ok)
}

pub(super) async fn u4_every_version_is_new(bench: Bench) -> Verdict {
    let u4 = bench.about("U4");
    let session = u4.sample();
    let mut seen = HashSet::new();
    for life in 0..3 {
        let mut version = u4.create_sample(&session).await?;
        seen.insert(version);
        for number in 0..6 {
            // Alternates between two contents, one of them the created one: equal contents are different states, too.
            let record = if number % 2 == 0 { Arc::clone(&session.record) } else { session.variant(1) };
            version = u4.updated(&session, &record, &version).await?;
            u4.holds(
                seen.insert(version),
                format_args!("update {number} of life {life} of one id answered {version:?}, which was there before"),
            )?;
        }
        let holder = Holder::generate().expect("the operating system gives random numbers");
        let leased = u4.acquire(&session.id, holder, u4.units(10)).await;
        if let Some(Acquire::Acquired { .. }) = u4.optional(leased)? {
            let stored = u4.present(&session.id, "after `acquire`").await?;
            seen.insert(stored.version);
            let version = u4.updated(&session, &session.variant(1), &stored.version).await?;
            u4.holds(seen.insert(version), "an update after a `acquire` answered a version that was there before")?;
        }
        u4.remove(&session.id).await?;
    }
    Ok(())
}

pub(super) async fn u5_a_remove_beats_an_update(bench: Bench) -> Verdict {
    let u5 = bench.about("U5");
    for way in u5.ways() {
        let (session, version) = u5.created().await?;
        let (first, second) = (u5.clone(), u5.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), session.variant(1));
        let update = async move { first.update(&id, &record, &version, usage).await };
        let remove = async move { second.remove(&id).await };
        let (updated, removed) = way.run(update, remove).await;
        let (updated, removed) = (updated?, removed?);
        let when = format!("after `update` ({updated:?}) and `remove` ({removed}) at once");
        u5.absent(&session.id, &when).await?;
        u5.other(way).absent(&session.id, &when).await?;
        u5.holds(removed, "`remove` concurrent with an `update` answered false")?;
    }
    Ok(())
}
