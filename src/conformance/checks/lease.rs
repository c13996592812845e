//! K1-K5: a lease has one holder at a time.

use std::time::{Duration, SystemTime};

use super::super::{
    Operation,
    bench::Bench,
    probe::Probe,
    sample::{Sample, identity},
    verdict::Verdict,
};
use crate::{
    clock,
    store::{Acquire, Holder, SessionStore, Update},
};

fn holder() -> Holder {
    Holder::generate().expect("the operating system gives random numbers")
}

/// Takes or extends a lease that no other holder has, and returns its end.
async fn acquired(probe: &Probe, session: &Sample, holder: Holder, time: Duration, when: &str) -> Verdict<SystemTime> {
    match probe.acquire(&session.id, holder, time).await? {
        Acquire::Acquired { until, .. } => Ok(until),
        other => probe.broken(format!("{when}: `acquire` answered {other:?}")),
    }
}

pub(super) async fn k1_one_holder_at_a_time(bench: Bench) -> Verdict {
    let k1 = bench.about("K1");
    let (first, second, long) = (holder(), holder(), k1.units(20));
    let answer = k1.acquire(&identity().0, first, long).await?;
    k1.equal(Acquire::Absent, answer, "`acquire` of an id that was never created")?;
    let (session, _) = k1.created().await?;
    let start = k1.now();
    let until = acquired(&k1, &session, first, long, "a free session").await?;
    let latest = clock::later(clock::later(k1.now(), long), k1.harness().late);
    k1.holds(until > start && until <= latest, "`until` of a new lease lies before now or after the time asked for")?;
    let held = async |when: &str| {
        for probe in [k1.clone(), k1.other(super::super::race::Way::FirstHeld(0))] {
            let answer = probe.acquire(&session.id, second, long).await?;
            k1.equal(Acquire::Held, answer, format_args!("`acquire` by another holder {when}"))?;
        }
        Ok(())
    };
    held("while the lease is held").await?;
    let version = k1.present(&session.id, "a leased session").await?.version;
    k1.updated(&session, &session.variant(1), &version).await?;
    held("after the holder's own `update`").await?;
    k1.touch(&session.id, session.usage).await?;
    held("after a `touch`").await?;
    acquired(&k1, &session, first, long, "the holder's own lease, extended").await?;
    held("after the lease was extended").await?;
    k1.equal(true, k1.release(&session.id, first).await?, "`release` by the holder")?;
    acquired(&k1, &session, second, long, "after the lease was given back").await?;
    let (other, _) = k1.created().await?;
    acquired(&k1, &other, first, long, "another session than the leased one").await?;
    k1.remove(&other.id).await?;
    k1.equal(Acquire::Absent, k1.acquire(&other.id, first, long).await?, "`acquire` of a removed session")
}

pub(super) async fn k1_one_of_two_lockers_wins(bench: Bench) -> Verdict {
    let k1 = bench.about("K1");
    let time = k1.units(20);
    for way in k1.ways() {
        let (session, _) = k1.created().await?;
        let (first, second, id) = (k1.clone(), k1.other(way), session.id);
        let (one, two) = (holder(), holder());
        let a = async move { first.acquire(&id, one, time).await };
        let b = async move { second.acquire(&id, two, time).await };
        let (a, b) = way.run(a, b).await;
        let (winner, loser) = match (a?, b?) {
            (Acquire::Acquired { .. }, Acquire::Held) => (one, two),
            (Acquire::Held, Acquire::Acquired { .. }) => (two, one),
            both => return k1.broken(format!("two `acquire`s at once answered {both:?}")),
        };
        k1.equal(Acquire::Held, k1.acquire(&id, loser, time).await?, "`acquire` by the loser of two at once")?;
        acquired(&k1, &session, winner, time, "the winner of two `acquire`s at once, extending").await?;
    }
    Ok(())
}

pub(super) async fn k2_a_lease_is_a_new_version(bench: Bench) -> Verdict {
    let k2 = bench.about("K2");
    let (session, before) = k2.created().await?;
    let (first, second) = (holder(), holder());
    acquired(&k2, &session, first, k2.units(20), "a free session").await?;
    let leased = k2.present(&session.id, "after `acquire`").await?;
    k2.same_record(&session.record, &leased.record, "after `acquire`")?;
    k2.holds(leased.version != before, "after `acquire` the record is in the version from before it")?;
    let answer = k2.update(&session.id, &session.variant(1), &before, session.usage).await?;
    k2.equal(Update::Conflict(None), answer, "`update` that expects the version from before the lease")?;

    acquired(&k2, &session, first, k2.units(20), "the holder's own lease, extended").await?;
    let extended = k2.present(&session.id, "after the lease was extended").await?;
    k2.equal(leased.version, extended.version, "the version after the lease was extended")?;
    let version = k2.updated(&session, &session.variant(2), &leased.version).await?;

    // The first holder's time runs out, and the second takes over. Then the first can't commit any more.
    let until = acquired(&k2, &session, first, k2.units(2), "the holder's own lease, shortened").await?;
    let end = until.max(clock::later(k2.now(), k2.units(2)));
    k2.release(&session.id, first).await?;
    let until = acquired(&k2, &session, first, k2.units(2), "after it was given back").await?.max(end);
    let mine = k2.present(&session.id, "in the first holder's lease").await?.version;
    k2.holds(mine != version, "after a second `acquire` the record is in the version from before it")?;
    k2.past(until).await;
    acquired(&k2, &session, second, k2.units(20), "after the first holder's time").await?;
    let answer = k2.update(&session.id, &session.variant(3), &mine, session.usage).await?;
    k2.equal(Update::Conflict(None), answer, "`update` by a holder whose lease ran out, over the next one's")
}

pub(super) async fn k2_a_lease_beside_an_update(bench: Bench) -> Verdict {
    let k2 = bench.about("K2");
    for way in k2.ways() {
        let (session, version) = k2.created().await?;
        let (first, second) = (k2.clone(), k2.other(way));
        let (Sample { id, usage, .. }, record) = (session.clone(), session.variant(1));
        let (holder, time) = (holder(), k2.units(20));
        let lock = async move { first.acquire(&id, holder, time).await };
        let update = async move { second.update(&id, &record, &version, usage).await };
        let (locked, updated) = way.run(lock, update).await;
        let (locked, updated) = (locked?, updated?);
        let when = format!("after `acquire` ({locked:?}) and `update` ({updated:?}) at once");
        k2.holds(matches!(locked, Acquire::Acquired { .. }), &when)?;
        let stored = k2.present(&id, &when).await?;
        match updated {
            // The update came first, and the lease gave its record a new version.
            Update::Updated(version) => {
                k2.same_record(&session.variant(1), &stored.record, &when)?;
                k2.holds(stored.version != version, format_args!("{when}: the version is the update's"))?;
            }
            Update::Conflict(_) => k2.same_record(&session.record, &stored.record, &when)?,
            Update::Gone => k2.broken(&when)?,
        }
    }
    Ok(())
}

pub(super) async fn k3_a_lease_ends(bench: Bench) -> Verdict {
    let k3 = bench.about("K3");
    let (first, second) = (holder(), holder());
    // A lease ends with its session: if that is removed and created again, it is free.
    let (session, _) = k3.created().await?;
    acquired(&k3, &session, first, k3.units(20), "a free session").await?;
    k3.remove(&session.id).await?;
    k3.equal(
        Acquire::Absent,
        k3.acquire(&session.id, second, k3.units(1)).await?,
        "`acquire` of a removed, leased session",
    )?;
    k3.create_sample(&session).await?;
    acquired(&k3, &session, second, k3.units(20), "a session that was created again after a leased one").await?;
    k3.equal(false, k3.release(&session.id, first).await?, "`release` by the holder from before the removal")?;

    // A lease ends by itself.
    let (session, _) = k3.created().await?;
    let until = acquired(&k3, &session, first, k3.units(2), "a free session").await?;
    if k3.exact() {
        k3.until(until - Duration::from_millis(1)).await;
        let answer = k3.acquire(&session.id, second, k3.units(1)).await?;
        k3.equal(Acquire::Held, answer, "`acquire` a millisecond before the lease's end")?;
    }
    k3.past(until).await;
    acquired(&k3, &session, second, k3.units(20), "at the end of another's lease").await?;
    k3.equal(false, k3.release(&session.id, first).await?, "`release` by a holder whose time is over")?;
    k3.equal(
        Acquire::Held,
        k3.acquire(&session.id, first, k3.units(1)).await?,
        "`acquire` during the next holder's lease",
    )
}

pub(super) async fn k3_a_lease_ends_with_an_expired_session(bench: Bench) -> Verdict {
    let k3 = bench.about("K3");
    let (first, second) = (holder(), holder());
    let short = k3.sample().with_usage(k3.keep(2));
    k3.create_sample(&short).await?;
    acquired(&k3, &short, first, k3.units(20), "a free session").await?;
    k3.past(short.usage.expires_at).await;
    k3.equal(
        Acquire::Absent,
        k3.acquire(&short.id, first, k3.units(1)).await?,
        "`acquire` of an expired, leased session",
    )?;
    k3.create_sample(&short.clone().with_usage(k3.keep(100))).await?;
    acquired(&k3, &short, second, k3.units(20), "a session that was created where a leased one had expired").await?;
    k3.equal(false, k3.release(&short.id, first).await?, "`release` by the holder from before the expiry")
}

pub(super) async fn k4_only_the_holder_unlocks(bench: Bench) -> Verdict {
    let k4 = bench.about("K4");
    let (first, second, long) = (holder(), holder(), k4.units(20));
    k4.equal(false, k4.release(&identity().0, first).await?, "`release` of an id that was never created")?;
    let (session, version) = k4.created().await?;
    k4.equal(false, k4.release(&session.id, first).await?, "`release` of a session without a lease")?;
    k4.unchanged(&session.id, &session.record, &version, "after an `release` of a session without a lease").await?;
    acquired(&k4, &session, first, long, "a free session").await?;
    let version = k4.present(&session.id, "a leased session").await?.version;
    k4.equal(false, k4.release(&session.id, second).await?, "`release` by another than the holder")?;
    k4.unchanged(&session.id, &session.record, &version, "after an `release` by another than the holder").await?;
    k4.equal(Acquire::Held, k4.acquire(&session.id, second, long).await?, "`acquire` after an `release` by another")?;
    k4.equal(true, k4.release(&session.id, first).await?, "`release` by the holder")?;
    k4.equal(false, k4.release(&session.id, first).await?, "a second `release`")?;
    let (expired, _) = k4.created().await?;
    let until = acquired(&k4, &expired, first, k4.units(2), "a free session").await?;
    k4.past(until).await;
    k4.equal(false, k4.release(&expired.id, first).await?, "`release` after the lease's time")
}

pub(super) async fn k5_a_waiter_goes_on(bench: Bench) -> Verdict {
    let k5 = bench.about("K5");
    // A single wait ends, whatever the store knows of the id.
    k5.released(&identity().0, Duration::from_millis(20)).await?;
    let (session, _) = k5.created().await?;
    let (first, second) = (holder(), holder());
    let day = Duration::from_secs(86_400);
    acquired(&k5, &session, first, day.min(k5.units(20)), "a free session").await?;
    k5.released(&session.id, Duration::from_millis(20)).await?;
    k5.equal(Acquire::Held, k5.acquire(&session.id, second, k5.units(1)).await?, "`acquire` after a wait in vain")?;

    for way in k5.ways().take(20) {
        // The wait is far longer than the patience, so it must end because the lease is given back, or early.
        let (waiter, id) = (k5.other(way), session.id);
        let wait = async move {
            let goes_on = async {
                loop {
                    if let Some(leases) = waiter.store().leases() {
                        leases.released(&id, day).await;
                    }
                    match waiter.acquire(&id, second, waiter.units(20)).await? {
                        Acquire::Held => {}
                        other => return Ok(other),
                    }
                }
            };
            waiter.in_time(Operation::Released, goes_on).await?
        };
        let unlocker = k5.clone();
        let unlock = async move { unlocker.release(&id, first).await };
        let (waited, unlocked) = way.run(wait, unlock).await;
        k5.equal(true, unlocked?, "`release` by the holder during a wait")?;
        let waited = waited?;
        let went_on = matches!(waited, Acquire::Acquired { .. });
        k5.holds(went_on, format_args!("a waiter whose lease was given back was answered {waited:?} by `acquire`"))?;
        k5.equal(true, k5.release(&session.id, second).await?, "`release` by the waiter")?;
        acquired(&k5, &session, first, k5.units(20), "after the waiter").await?;
    }
    Ok(())
}
