//! E1-E4: the epoch of an owner. `load` has L6.

use super::super::{bench::Bench, probe::Probe, verdict::Verdict};
use crate::{
    id::SessionId,
    record::Epoch,
    store::{Idle, Usage},
};

pub(super) async fn e1_no_epoch_is_none(bench: Bench) -> Verdict {
    let e1 = bench.about("E1");
    e1.equal(None, e1.owner_epoch("nobody").await?, "`owner_epoch` of an owner that never had one")?;
    e1.ensure_epoch("somebody", e1.keep(100)).await?;
    for other in ["nobody", "some", "somebody ", "Somebody", "somebody\0", ""] {
        let answer = e1.owner_epoch(other).await?;
        e1.equal(None, answer, format_args!("`owner_epoch` of {other:?} where only \"somebody\" has one"))?;
    }
    // If the epoch is an ordinary record, it can be lost like one: removed, evicted, expired.
    if e1.remove(&SessionId::for_epoch("somebody")).await? {
        e1.equal(None, e1.owner_epoch("somebody").await?, "`owner_epoch` after its record was lost")?;
    }
    let short = e1.keep(2);
    e1.ensure_epoch("expired", short).await?;
    e1.past(short.expires_at).await;
    e1.equal(None, e1.owner_epoch("expired").await?, "`owner_epoch` after its record has expired")
}

pub(super) async fn e2_one_epoch_for_all(bench: Bench) -> Verdict {
    let e2 = bench.about("E2");
    let longest = "o".repeat(crate::record::MAX_OWNER_BYTES);
    for name in ["alice", "bob@example.org", "a b\r\nc\0../d", "\u{1f512}", &longest] {
        let epoch = e2.ensure_epoch(name, e2.keep(100)).await?;
        for _ in 0..2 {
            e2.equal(epoch, e2.ensure_epoch(name, e2.keep(100)).await?, "`ensure_epoch` for the second time")?;
            e2.equal(Some(epoch), e2.owner_epoch(name).await?, "`owner_epoch` after `ensure_epoch`")?;
        }
    }
    for (number, way) in e2.ways().enumerate() {
        let owner = format!("owner {number}");
        let party = |probe: Probe, units| {
            let (owner, usage) = (owner.clone(), probe.keep(units));
            async move { probe.ensure_epoch(&owner, usage).await }
        };
        let (a, b) = way.run(party(e2.clone(), 100), party(e2.other(way), 101)).await;
        let (a, b) = (a?, b?);
        e2.equal(a, b, "the answer of the second of two concurrent `ensure_epoch`s, compared with the first")?;
        e2.equal(Some(a), e2.owner_epoch(&owner).await?, "`owner_epoch` after two `ensure_epoch`s at once")?;
    }
    Ok(())
}

pub(super) async fn e3_it_lives_as_long_as_asked(bench: Bench) -> Verdict {
    let e3 = bench.about("E3");
    let start = e3.now();
    let epoch = e3.ensure_epoch("longer", e3.keep(2)).await?;
    e3.ensure_epoch("longer", e3.keep(7)).await?;
    e3.ensure_epoch("longer", e3.keep(3)).await?;
    e3.ensure_epoch("renewed", e3.keep(7)).await?;
    e3.renew_epoch("renewed", e3.keep(2)).await?;
    let renewed = e3.owner_epoch("renewed").await?;
    e3.until(start + e3.units(5)).await;
    let answer = e3.owner_epoch("longer").await?;
    e3.equal(Some(epoch), answer, "`owner_epoch` after 5 units where 2, then 7, then 3 were asked for")?;
    let answer = e3.owner_epoch("renewed").await?;
    e3.equal(renewed, answer, "`owner_epoch` after 5 units where 7 were asked for and a renewal asked for 2")
}

pub(super) async fn e3_the_longest_of_two_counts(bench: Bench) -> Verdict {
    let e3 = bench.about("E3");
    // If time passes by itself, the first owners must not have expired when the last ones are made.
    let ways: Vec<_> = if e3.exact() { e3.ways().collect() } else { e3.ways().take(10).collect() };
    for (number, way) in ways.iter().enumerate() {
        let owner = format!("owner {number}");
        e3.ensure_epoch(&owner, e3.keep(30)).await?;
        let party = |probe: Probe, units| {
            let (owner, usage) = (owner.clone(), probe.keep(units));
            async move { probe.ensure_epoch(&owner, usage).await }
        };
        let (short, long) = if number % 2 == 0 { (40, 70) } else { (70, 40) };
        let (a, b) = way.run(party(e3.clone(), short), party(e3.other(*way), long)).await;
        a?;
        b?;
    }
    let id = |number| SessionId::for_epoch(&format!("owner {number}"));
    if !e3.exact() {
        // The check doesn't wait for a minute. If epochs are ordinary records, their expiry shows how long they live.
        for number in 0..ways.len() {
            if let Some(stored) = e3.load(&id(number)).await? {
                let left = stored.expires_at.duration_since(e3.now()).unwrap_or_default();
                e3.holds(left > e3.units(50), format_args!("an epoch that was asked for 70 units ends in {left:?}"))?;
            }
        }
        return Ok(());
    }
    e3.until(e3.now() + e3.units(50)).await;
    for number in 0..ways.len() {
        let epoch = e3.owner_epoch(&format!("owner {number}")).await?;
        let when = "after 50 units where 40 and 70 were asked for at once";
        e3.holds(epoch.is_some(), format_args!("{when}, `owner_epoch` answered None"))?;
    }
    Ok(())
}

pub(super) async fn e3_sweeping_leaves_it(bench: Bench) -> Verdict {
    let e3 = bench.about("E3");
    let hour = std::time::Duration::from_secs(3_600);
    let long_ago = e3.now() - 10 * hour;
    let epoch = e3.ensure_epoch("alice", Usage::keep_for(long_ago, 20 * hour)).await?;
    e3.optional(e3.sweep().await)?;
    e3.equal(Some(epoch), e3.owner_epoch("alice").await?, "`owner_epoch` after a `sweep`")?;
    e3.optional(e3.delete_idle(Idle::new(hour)).await)?;
    e3.equal(Some(epoch), e3.owner_epoch("alice").await?, "`owner_epoch` after a `delete_idle` that is shorter")
}

pub(super) async fn e4_a_renewed_epoch_is_another(bench: Bench) -> Verdict {
    let e4 = bench.about("E4");
    e4.renew_epoch("nobody", e4.keep(100)).await?;
    let mut seen: Vec<Epoch> = Vec::new();
    for _ in 0..5 {
        let epoch = e4.ensure_epoch("alice", e4.keep(100)).await?;
        e4.holds(!seen.contains(&epoch), "an epoch after a renewal is one from before it")?;
        seen.push(epoch);
        e4.renew_epoch("alice", e4.keep(100)).await?;
        let now = e4.owner_epoch("alice").await?;
        e4.holds(now != Some(epoch), "`owner_epoch` after a renewal is the one from before it")?;
    }
    for (number, way) in e4.ways().enumerate() {
        let owner = format!("owner {number}");
        let before = e4.ensure_epoch(&owner, e4.keep(100)).await?;
        let (first, second) = (e4.clone(), e4.other(way));
        let (name, usage) = (owner.clone(), e4.keep(100));
        let renew = async move { first.renew_epoch(&name, usage).await };
        let name = owner.clone();
        let renewed = if number % 2 == 0 {
            let (a, b) = way.run(renew, async move { second.ensure_epoch(&name, usage).await }).await;
            b?;
            a
        } else {
            let (a, b) = way.run(renew, async move { second.renew_epoch(&name, usage).await }).await;
            b?;
            a
        };
        renewed?;
        let now = e4.owner_epoch(&owner).await?;
        e4.holds(now != Some(before), "`owner_epoch` after a renewal during another call is the one from before it")?;
    }
    Ok(())
}
