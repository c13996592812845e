//! R1-R4: a removed session stays removed.

use super::super::{
    bench::Bench,
    sample::{Sample, identity, shapes},
    verdict::Verdict,
};
use crate::store::{Acquire, Holder, Touch, Update};

pub(super) async fn r1_nothing_brings_it_back(bench: Bench) -> Verdict {
    let r1 = bench.about("R1");
    for (shape, record) in shapes(r1.now(), r1.harness().holds.min(10_000)) {
        let session = Sample::of(identity().0, record, r1.now());
        r1.create_sample(&session).await?;
        r1.remove(&session.id).await?;
        r1.absent(&session.id, &format!("after `remove` of {shape}")).await?;
    }
    for way in r1.ways() {
        let (session, version) = r1.created().await?;
        let (writer, remover, busy) = (r1.clone(), r1.other(way), session.clone());
        // The calls of a busy session's requests: update, touch, update the version that was read.
        let write = async move {
            let mut version = version;
            for number in 0..4 {
                match writer.update(&busy.id, &busy.variant(number), &version, busy.usage).await? {
                    Update::Updated(new) => version = new,
                    Update::Conflict(_) => {
                        return writer.broken("`update` concurrent with only a `remove` answered Conflict");
                    }
                    Update::Gone => {}
                }
                writer.touch(&busy.id, busy.usage).await?;
            }
            Ok(())
        };
        let id = session.id;
        let remove = async move { remover.remove(&id).await };
        let (written, removed) = way.run(write, remove).await;
        written?;
        r1.equal(true, removed?, "`remove` concurrent with updates and touches")?;
        r1.absent(&id, "after updates, touches and a `remove` at once").await?;
        let answer = r1.update(&id, &session.variant(9), &version, session.usage).await?;
        r1.equal(Update::Gone, answer, "`update` after a `remove`")?;
        r1.equal(Touch::Gone, r1.touch(&id, session.usage).await?, "`touch` after a `remove`")?;
        r1.absent(&id, "after a `remove`, an `update` and a `touch`").await?;
    }
    Ok(())
}

pub(super) async fn r1_a_remove_beats_a_lock(bench: Bench) -> Verdict {
    let r1 = bench.about("R1");
    for way in r1.ways() {
        let (session, _) = r1.created().await?;
        let (first, second, id) = (r1.clone(), r1.other(way), session.id);
        let (holder, time) = (Holder::generate().expect("the operating system gives random numbers"), r1.units(20));
        let lock = async move { first.acquire(&id, holder, time).await };
        let (locked, removed) = way.run(lock, async move { second.remove(&id).await }).await;
        let (locked, removed) = (locked?, removed?);
        let when = format!("after `acquire` ({locked:?}) and `remove` ({removed}) at once");
        r1.absent(&id, &when).await?;
        r1.holds(removed, "`remove` concurrent with an `acquire` answered false")?;
        r1.equal(Acquire::Absent, r1.acquire(&id, holder, time).await?, format_args!("{when}, `acquire`"))?;
    }
    Ok(())
}

pub(super) async fn r2_true_if_it_was_there(bench: Bench) -> Verdict {
    let r2 = bench.about("R2");
    r2.equal(false, r2.remove(&identity().0).await?, "`remove` of an id that was never created")?;
    let (session, version) = r2.created().await?;
    r2.updated(&session, &session.variant(1), &version).await?;
    r2.equal(true, r2.remove(&session.id).await?, "`remove` of a session")?;
    r2.equal(false, r2.remove(&session.id).await?, "a second `remove`")?;
    r2.create_sample(&session).await?;
    r2.equal(true, r2.remove(&session.id).await?, "`remove` of a session that was created again")?;
    let expired = r2.sample().with_usage(r2.keep(2));
    r2.create_sample(&expired).await?;
    r2.past(expired.usage.expires_at).await;
    r2.equal(false, r2.remove(&expired.id).await?, "`remove` of an expired session")
}

pub(super) async fn r3_one_of_two_removes_is_true(bench: Bench) -> Verdict {
    let r3 = bench.about("R3");
    for way in r3.ways() {
        let (session, _) = r3.created().await?;
        let (first, second, id) = (r3.clone(), r3.other(way), session.id);
        let (a, b) = way.run(async move { first.remove(&id).await }, async move { second.remove(&id).await }).await;
        let (a, b) = (a?, b?);
        r3.holds(a != b, format_args!("two `remove`s at once answered {a} and {b}"))?;
        r3.absent(&id, "after two `remove`s at once").await?;
    }
    Ok(())
}

pub(super) async fn r4_a_lease_is_not_waited_for(bench: Bench) -> Verdict {
    let r4 = bench.about("R4");
    let (session, _) = r4.created().await?;
    let holder = Holder::generate().expect("the operating system gives random numbers");
    let lease = r4.acquire(&session.id, holder, r4.units(20)).await?;
    r4.holds(matches!(lease, Acquire::Acquired { .. }), format_args!("`acquire` of a session answered {lease:?}"))?;
    // Half the lease's time: a `remove` that waits for the lease takes longer, or hangs with a manual clock.
    let Ok(removed) = tokio::time::timeout(r4.units(10), r4.remove(&session.id)).await else {
        return r4.broken("`remove` of a leased session waits");
    };
    r4.equal(true, removed?, "`remove` of a leased session")?;
    r4.absent(&session.id, "after `remove` of a leased session").await
}

pub(super) async fn r4_damage_is_removed(bench: Bench) -> Verdict {
    let r4 = bench.about("R4");
    let (session, _) = r4.created().await?;
    r4.damage(&session.id).await?;
    r4.remove(&session.id).await?;
    r4.absent(&session.id, "after `remove` of damaged bytes").await?;
    r4.create_sample(&session).await?;
    r4.present(&session.id, "after `create` where damaged bytes were removed").await?;
    Ok(())
}
