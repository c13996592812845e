//! L4 and L5: the expiry and the last use are the ones that were set last.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    super::{
        bench::Bench,
        judge::APART,
        probe::Probe,
        sample::{Sample, identity, owner, tombstone},
        verdict::Verdict,
    },
    load::THROUGH_TWIN,
};
use crate::{
    clock,
    lifetime::Lifetime,
    record::Record,
    store::{Create, Cursor, End, Refresh, Touch, Update, Usage, Version},
};

pub(super) async fn l4_the_expiry_is_the_last_one_set(bench: Bench) -> Verdict {
    let l4 = bench.about("L4");
    let twin = l4.other(THROUGH_TWIN);
    let minutes = |minutes: u64| Usage::keep_for(l4.now(), Duration::from_secs(60 * minutes));
    let session = l4.sample().with_usage(minutes(30));
    let version = l4.create_sample(&session).await?;
    let check = async |usage: Usage, when: &str| {
        for probe in [&l4, &twin] {
            let stored = probe.present(&session.id, when).await?;
            l4.expires(usage.expires_at, stored.expires_at, when)?;
        }
        Ok(())
    };
    check(session.usage, "after `create`").await?;
    let mut changed = Sample { usage: minutes(50), ..session.clone() };
    let version = l4.updated(&changed, &session.variant(1), &version).await?;
    check(changed.usage, "after an `update` to later").await?;
    changed.usage = minutes(20);
    l4.updated(&changed, &session.variant(2), &version).await?;
    check(changed.usage, "after an `update` to earlier").await?;
    for (usage, when) in [(minutes(40), "after a `touch` to later"), (minutes(45), "after a second `touch`")] {
        l4.equal(Touch::Touched, l4.touch(&session.id, usage).await?, "`touch` of a session")?;
        check(usage, when).await?;
    }
    // Days and years, which have other units in some backends' protocols.
    for days in [1, 29, 30, 31, 365, 3_650] {
        let (id, check) = identity();
        let record = Record::session(check, l4.now(), Lifetime::new(DAY * 4_000, DAY * 4_000).expect("over a second"));
        let usage = Usage::keep_for(l4.now(), DAY * days);
        let long = Sample::of(id, record, l4.now()).with_usage(usage);
        l4.create_sample(&long).await?;
        let when = format!("after a `create` for {days} days");
        let stored = l4.present(&id, &when).await?;
        l4.expires(usage.expires_at, stored.expires_at, &when)?;
        l4.equal(Touch::Touched, l4.touch(&id, usage).await?, "`touch` of a long session")?;
        l4.present(&id, &format!("after a `touch` for {days} days")).await?;
    }
    Ok(())
}

const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn l4_the_expiry_is_capped(bench: Bench) -> Verdict {
    let l4 = bench.about("L4");
    let (id, check) = identity();
    // A session with ten minutes left of its 24 hours.
    let created_at = l4.now() - DAY + Duration::from_secs(600);
    let record = Record::session(check, created_at, Lifetime::default());
    let limit = record.absolute_limit();
    let beyond = Usage::keep_for(l4.now(), DAY);
    let session = Sample::of(id, record, l4.now()).with_usage(beyond);
    let version = l4.create_sample(&session).await?;
    let stored = l4.present(&id, "after a `create` past the absolute limit").await?;
    l4.expires(limit, stored.expires_at, "after a `create` past the absolute limit")?;
    l4.updated(&session, &session.variant(1), &version).await?;
    let stored = l4.present(&id, "after an `update` past the absolute limit").await?;
    l4.expires(limit, stored.expires_at, "after an `update` past the absolute limit")
}

/// How many units are left of a session's day, in checks in which its absolute limit passes.
const LEFT: u32 = 5;

/// How many methods are called after the limit.
const METHODS: usize = 6;

/// The call that asked for an expiry past the absolute limit.
#[derive(Debug, Clone, Copy)]
enum Past {
    Create,
    Update,
    Touch,
}

/// Stores a session shortly before its limit, and asks for one more day by this call.
async fn beyond(l4: &Probe, past: Past, created_at: SystemTime) -> Verdict<(Sample, Version)> {
    let (id, check) = identity();
    let record = Record::session(check, created_at, Lifetime::default()).with_owner(Some(owner("l4")));
    let beyond = Usage::keep_for(l4.now(), DAY);
    let session = Sample::of(id, record, l4.now());
    if let Past::Create = past {
        let session = session.with_usage(beyond);
        let version = l4.create_sample(&session).await?;
        return Ok((session, version));
    }
    let mut version = l4.create_sample(&session).await?;
    let session = session.with_usage(beyond);
    if let Past::Update = past {
        version = l4.updated(&session, &session.record, &version).await?;
    } else {
        l4.equal(Touch::Touched, l4.touch(&id, beyond).await?, "`touch` of a session shortly before its limit")?;
    }
    Ok((session, version))
}

pub(super) async fn l4_the_cap_is_stored(bench: Bench) -> Verdict {
    let l4 = bench.about("L4");
    let created_at = l4.now() - DAY + l4.units(LEFT);
    let limit = clock::later(created_at, DAY);
    let mut sessions = Vec::new();
    for past in [Past::Create, Past::Update, Past::Touch] {
        // One for each method below, since the first call that finds an expired session may remove it.
        for _ in 0..METHODS {
            let (session, version) = beyond(&l4, past, created_at).await?;
            let when = format!("a session for which a {past:?} asked for a day past its absolute limit, at the limit");
            sessions.push((session, version, when.to_lowercase()));
        }
    }
    l4.past(limit).await;
    // The sessions were not loaded since, so only the stored cap can show that they have expired.
    if let Some(page) = l4.optional(l4.ids(Cursor::START, 100).await)? {
        l4.equal(0, page.ids.len(), "how many sessions `ids` names after the absolute limit of all of them")?;
    }
    if let Some(count) = l4.optional(l4.count().await)? {
        l4.equal(0, count, "`count` after the absolute limit of all sessions")?;
    }
    if let Some(listed) = l4.optional(l4.list_owner("l4").await)? {
        l4.equal(0, listed.len(), "how many sessions `list_owner` lists after the absolute limit of all of them")?;
    }
    for each in sessions.chunks(METHODS) {
        let [loaded, updated, touched, ended, removed, created] = each else { unreachable!("one for each method") };
        let later = l4.keep(100);
        let (session, _, when) = loaded;
        l4.absent(&session.id, when).await?;
        let (session, version, when) = updated;
        let answer = l4.update(&session.id, &session.record, version, later).await?;
        l4.equal(Update::Gone, answer, format_args!("{when}, `update`"))?;
        let (session, _, when) = touched;
        l4.equal(Touch::Gone, l4.touch(&session.id, later).await?, format_args!("{when}, `touch`"))?;
        let (session, version, when) = ended;
        l4.equal(End::Gone, l4.end(&session.id, version, l4.now()).await?, format_args!("{when}, `end`"))?;
        let (session, _, when) = removed;
        l4.equal(false, l4.remove(&session.id).await?, format_args!("{when}, `remove`"))?;
        let (session, _, when) = created;
        let new = l4.sample();
        let answer = l4.create(&session.id, &new.record, new.usage).await?;
        let made = matches!(answer, Create::Created(_));
        l4.holds(made, format_args!("{when}, `create`: expected Created, the store answered {answer:?}"))?;
    }
    if let Some(swept) = l4.optional(l4.sweep().await)? {
        l4.equal(
            3,
            swept.remaining,
            "`remaining` of a `sweep` of 3 live sessions and others past their absolute limit",
        )?;
    }
    Ok(())
}

pub(super) async fn l4_milliseconds_count(bench: Bench) -> Verdict {
    let l4 = bench.about("L4");
    let now = l4.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    for millis in [1, 437, 499, 500, 501, 999] {
        let until = |minutes: u64| second + Duration::from_millis(minutes * 60_000 + millis);
        let keep = |minutes| Usage { used_at: l4.now(), expires_at: until(minutes) };
        let session = l4.sample().with_usage(keep(30));
        let check = async |minutes, when: &str| {
            let stored = l4.present(&session.id, when).await?;
            l4.expires(until(minutes), stored.expires_at, &format!("{when}, until {millis} ms past a whole second"))
        };
        let version = l4.create_sample(&session).await?;
        check(30, "after a `create`").await?;
        l4.updated(&session.clone().with_usage(keep(40)), &session.variant(1), &version).await?;
        check(40, "after an `update`").await?;
        l4.equal(Touch::Touched, l4.touch(&session.id, keep(50)).await?, "`touch` of a session")?;
        check(50, "after a `touch`").await?;
    }
    Ok(())
}

/// Fails unless the last use is this one. A store that counts whole seconds may derive it from the expiry: then it must
/// be right within minutes.
fn used(l5: &Probe, expected: SystemTime, answered: SystemTime, when: &str) -> Verdict {
    let late = l5.harness().late;
    let may = if late.is_zero() { Duration::ZERO } else { late.max(APART / 4) };
    let (by, which) = match answered.duration_since(expected) {
        Ok(by) => (by, "later"),
        Err(error) => (error.duration(), "earlier"),
    };
    l5.holds(
        by <= may,
        format_args!("{when}: the answered `used_at` is {by:?} {which} than what was set; store it with each write"),
    )
}

pub(super) async fn l5_the_last_use_is_the_last_one_told(bench: Bench) -> Verdict {
    let l5 = bench.about("L5");
    let twin = l5.other(THROUGH_TWIN);
    let (id, check) = identity();
    // A session created hours ago, so that each use lies after its creation and before the current time.
    let start = l5.now() - APART * 12;
    let use_at = |number: u32| Usage::keep_for(start + APART * number + Duration::from_millis(437), DAY / 2);
    let session = Sample::of(id, Record::session(check, start, Lifetime::default()), start).with_usage(use_at(1));
    let told = async |id, usage: Usage, when: &str| {
        for probe in [&l5, &twin] {
            let stored = probe.present(id, when).await?;
            used(&l5, usage.used_at, stored.used_at, when)?;
            match probe.refresh(id, &stored).await? {
                Refresh::Same { usage: now, .. } => {
                    used(&l5, usage.used_at, now.used_at, &format!("{when}, by `refresh`"))?
                }
                other => l5.broken(format!("{when}: expected Same from `refresh`, the store answered {other:?}"))?,
            }
        }
        Ok(())
    };
    let version = l5.create_sample(&session).await?;
    told(&id, use_at(1), "after `create`").await?;
    let version = l5.updated(&session.clone().with_usage(use_at(2)), &session.variant(1), &version).await?;
    told(&id, use_at(2), "after `update`").await?;
    l5.equal(Touch::Touched, l5.touch(&id, use_at(3)).await?, "`touch` of a session")?;
    told(&id, use_at(3), "after `touch`").await?;
    let version = l5.updated(&session.clone().with_usage(use_at(4)), &session.variant(2), &version).await?;
    told(&id, use_at(4), "after an `update` that follows a `touch`").await?;
    let (to, usage) = (l5.sample(), use_at(5));
    l5.rename(&id, &version, &tombstone(usage.used_at), &to.id, &to.record, usage).await?;
    told(&to.id, usage, "after `rename`, the new id").await
}
