//! A1 and A2: an answer at once is that of the awaited method, and a call that isn't answered has no effect.

use super::{
    super::{
        bench::Bench,
        probe::Probe,
        sample::{Sample, identity, shapes},
        verdict::Verdict,
    },
    load::THROUGH_TWIN,
};
use crate::{
    id::SessionId,
    record::Owner,
    store::{Create, Stored, Update, Usage, Version},
};

pub(super) async fn a1_a_create_at_once_is_a_create(bench: Bench) -> Verdict {
    let a1 = bench.about("A1");
    let mut answers = false;
    for (shape, record) in shapes(a1.now(), a1.harness().holds) {
        let session = Sample::of(identity().0, record, a1.now());
        let when = format!("after `try_create` of {shape}");
        let version = match a1.try_create(&session.id, &session.record, session.usage)? {
            Some(Create::Created(version)) => version,
            Some(Create::Exists) => return a1.broken(format!("`try_create` of {shape} answered Exists")),
            None => continue,
        };
        answers = true;
        stored(&a1, &session, &version, session.usage, &when).await?;
        let longer = Usage::keep_for(a1.now(), std::time::Duration::from_secs(7_200));
        if let Some(answer) = a1.try_create(&session.id, &session.variant(1), longer)? {
            a1.equal(Create::Exists, answer, format_args!("`try_create` over {shape}"))?;
        }
        stored(&a1, &session, &version, session.usage, &format!("{when} and another over it")).await?;
    }
    if !answers {
        return Ok(());
    }
    let short = a1.sample().with_usage(a1.keep(2));
    a1.create_sample(&short).await?;
    a1.past(short.usage.expires_at).await;
    if let Some(answer) = a1.try_create(&short.id, &short.variant(1), a1.keep(1_000))? {
        a1.holds(matches!(answer, Create::Created(_)), "`try_create` where a record has expired answered Exists")?;
        a1.present(&short.id, "after `try_create` where a record has expired").await?;
    }
    Ok(())
}

pub(super) async fn a1_an_update_at_once_is_an_update(bench: Bench) -> Verdict {
    let a1 = bench.about("A1");
    let (session, first) = a1.created().await?;
    let longer = Usage::keep_for(a1.now(), std::time::Duration::from_secs(7_200));
    let version = match a1.try_update(&session.id, &session.variant(1), &first, longer)? {
        Some(Update::Updated(version)) => version,
        Some(other) => return a1.broken(format!("`try_update` of the expected version answered {other:?}")),
        // The store answers nothing at once.
        None if a1.try_update(&session.id, &session.variant(1), &Version::from_u64(0), longer)?.is_none() => {
            return Ok(());
        }
        None => match a1.update(&session.id, &session.variant(1), &first, longer).await? {
            Update::Updated(version) => version,
            other => return a1.broken(format!("`update` of the expected version answered {other:?}")),
        },
    };
    a1.holds(version != first, "`try_update` answered the version that it has replaced")?;
    let updated = Sample { record: session.variant(1), ..session.clone() };
    stored(&a1, &updated, &version, longer, "after `try_update`").await?;
    if let Some(answer) = a1.try_update(&session.id, &session.variant(2), &first, session.usage)? {
        a1.equal(Update::Conflict(None), answer, "`try_update` of an earlier version")?;
    }
    stored(&a1, &updated, &version, longer, "after `try_update` of an earlier version").await?;
    let short = a1.sample().with_usage(a1.keep(2));
    let expired = a1.create_sample(&short).await?;
    a1.past(short.usage.expires_at).await;
    a1.remove(&session.id).await?;
    for (gone, version, how) in [(&session, &version, "was removed"), (&short, &expired, "has expired")] {
        if let Some(answer) = a1.try_update(&gone.id, &gone.variant(3), version, a1.keep(1_000))? {
            a1.equal(Update::Gone, answer, format_args!("`try_update` of a record that {how}"))?;
        }
        a1.absent(&gone.id, &format!("after `try_update` of a record that {how}")).await?;
    }
    Ok(())
}

pub(super) async fn a1_a_load_at_once_is_a_load(bench: Bench) -> Verdict {
    let a1 = bench.about("A1");
    let twin = a1.other(THROUGH_TWIN);
    let (present, _) = a1.created().await?;
    if a1.try_load(&present.id)?.is_none() && a1.try_load(&identity().0)?.is_none() {
        // The store answers nothing at once.
        return Ok(());
    }
    let epoch = a1.ensure_epoch("a1", a1.keep(1_000)).await?;
    for (shape, record) in shapes(a1.now(), a1.harness().holds) {
        let owned = record.owner().is_some() && record.is_session();
        let record = if owned { record.with_owner(Owner::new("a1", epoch).ok()) } else { record };
        let session = Sample::of(identity().0, record, a1.now());
        loads_alike(&a1, &session.id, &format!("before `create` of {shape}")).await?;
        let version = twin.create_sample(&session).await?;
        loads_alike(&a1, &session.id, &format!("after `create` of {shape}")).await?;
        twin.touch(&session.id, Usage::keep_for(a1.now(), std::time::Duration::from_secs(7_200))).await?;
        loads_alike(&a1, &session.id, &format!("after `touch` of {shape}")).await?;
        if owned {
            twin.renew_epoch("a1", a1.keep(1_000)).await?;
            loads_alike(&a1, &session.id, &format!("after `renew_epoch` of the owner of {shape}")).await?;
        }
        twin.updated(&session, &session.variant(1), &version).await?;
        loads_alike(&a1, &session.id, &format!("after `update` of {shape}")).await?;
        twin.remove(&session.id).await?;
        loads_alike(&a1, &session.id, &format!("after `remove` of {shape}")).await?;
    }
    let short = a1.sample().with_usage(a1.keep(2));
    a1.create_sample(&short).await?;
    a1.past(short.usage.expires_at).await;
    loads_alike(&a1, &short.id, "after the expiry").await
}

pub(super) async fn a2_no_answer_has_done_nothing(bench: Bench) -> Verdict {
    let a2 = bench.about("A2");
    let session = a2.sample();
    if a2.try_create(&session.id, &session.record, session.usage)?.is_some() {
        // The checks of A1 look at what an answered call has stored.
        a2.remove(&session.id).await?;
    }
    a2.absent(&session.id, "after a `try_create` that did not answer").await?;
    let version = a2.create_sample(&session).await?;
    let longer = Usage::keep_for(a2.now(), std::time::Duration::from_secs(7_200));
    if a2.try_update(&session.id, &session.variant(1), &version, longer)?.is_none() {
        stored(&a2, &session, &version, session.usage, "after a `try_update` that did not answer").await?;
        a2.updated(&session, &session.variant(1), &version).await?;
    }
    Ok(())
}

/// Fails unless this record is stored in this version, with this use.
async fn stored(probe: &Probe, session: &Sample, version: &Version, usage: Usage, when: &str) -> Verdict {
    probe.unchanged(&session.id, &session.record, version, when).await?;
    let stored = probe.present(&session.id, when).await?;
    probe.expires(usage.expires_at.min(session.record.absolute_limit()), stored.expires_at, when)
}

/// Fails unless `try_load` answers as `load` does, or not at all.
async fn loads_alike(a1: &Probe, id: &SessionId, when: &str) -> Verdict {
    let Some(at_once) = a1.try_load(id)? else { return Ok(()) };
    match (a1.load(id).await?, at_once) {
        (None, None) => Ok(()),
        (Some(awaited), Some(at_once)) => same(a1, &awaited, &at_once, &format!("`try_load` {when}")),
        (awaited, at_once) => a1.broken(format!(
            "{when}: `load` answered {}, and `try_load` answered {}",
            presence(&awaited),
            presence(&at_once)
        )),
    }
}

fn same(a1: &Probe, awaited: &Stored, at_once: &Stored, when: &str) -> Verdict {
    a1.same_record(&awaited.record, &at_once.record, when)?;
    a1.equal(awaited.version, at_once.version, format_args!("{when}: the version"))?;
    a1.equal(awaited.owner_epoch, at_once.owner_epoch, format_args!("{when}: the owner's epoch"))?;
    a1.same_expiry(awaited, at_once, when)
}

fn presence(stored: &Option<Stored>) -> &'static str {
    if stored.is_some() { "a record" } else { "None" }
}
