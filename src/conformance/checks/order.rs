//! G2: two concurrent calls behave as if one had come first.

use std::{sync::Arc, time::SystemTime};

use super::super::{bench::Bench, judge::APART, probe::Probe, race::Way, sample::Sample, verdict::Verdict};
use crate::store::{Create, Stored, Touch, Update, Usage, Version};

/// The call that a party makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Load,
    Create,
    Update,
    Touch,
    Remove,
}

const ACTS: [Act; 5] = [Act::Load, Act::Create, Act::Update, Act::Touch, Act::Remove];

/// Which party set something: 0 if it was there before, 1 for the first, 2 for the second.
type Who = u8;

/// A state in the model: who wrote the record, who set the version, who set the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    record: Who,
    version: Who,
    expiry: Who,
}

/// An answer in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Loaded(Option<State>),
    Made,
    Exists,
    Conflict,
    Gone,
    Touched,
    Removed(bool),
}

/// An answer of the store.
enum Given {
    Loaded(Option<Stored>),
    Made(Version),
    Other(Answer),
}

pub(super) async fn g2_two_at_once_are_one_after_the_other(bench: Bench) -> Verdict {
    let g2 = bench.about("G2");
    let rounds = g2.harness().rounds.div_ceil(4);
    for (index, first) in ACTS.into_iter().enumerate() {
        for second in ACTS.into_iter().skip(index) {
            for there in [true, false] {
                // No sentence says what a version from before a removal means to the next record.
                let stale = !there && [first, second].contains(&Act::Update) && [first, second].contains(&Act::Create);
                if stale {
                    continue;
                }
                for way in Way::all(rounds) {
                    meet(&g2, way, first, second, there).await?;
                }
            }
        }
    }
    Ok(())
}

async fn meet(g2: &Probe, way: Way, first: Act, second: Act, there: bool) -> Verdict {
    let (session, now) = (g2.sample(), g2.now());
    let session = session.clone().with_usage(usage_of(now, 0));
    let version = g2.create_sample(&session).await?;
    if !there {
        g2.remove(&session.id).await?;
    }
    let party = |probe: Probe, act, who| {
        let session = session.clone();
        async move { act_on(&probe, act, who, &session, &version, now).await }
    };
    let (one, two) = way.run(party(g2.clone(), first, 1), party(g2.other(way), second, 2)).await;
    let (one, two) = (one?, two?);
    let end = g2.load(&session.id).await?;

    let made = |given: &Given| if let Given::Made(version) = given { Some(*version) } else { None };
    let versions = [Some(version), made(&one), made(&two)];
    let read = |stored: Option<Stored>| match stored {
        None => Ok(None),
        Some(stored) => state_of(g2, &stored, &session, &versions, now).map(Some),
    };
    let judge = |given| {
        Ok(match given {
            Given::Loaded(stored) => Answer::Loaded(read(stored)?),
            Given::Made(_) => Answer::Made,
            Given::Other(answer) => answer,
        })
    };
    let seen = (judge(one)?, judge(two)?, read(end)?);

    let start = there.then_some(State { record: 0, version: 0, expiry: 0 });
    let first_then_second = {
        let (state, one) = apply(start, first, 1);
        let (state, two) = apply(state, second, 2);
        (one, two, state)
    };
    let second_then_first = {
        let (state, two) = apply(start, second, 2);
        let (state, one) = apply(state, first, 1);
        (one, two, state)
    };
    let record = if there { "a record" } else { "no record" };
    g2.holds(
        seen == first_then_second || seen == second_then_first,
        format_args!(
            "{first:?} (party 1) and {second:?} (party 2) at once, over {record} (0): the answers and the state \
             afterwards were {seen:?}; one after the other gives {first_then_second:?} or {second_then_first:?}"
        ),
    )
}

/// The use of a party. The three can be told apart even if whole seconds are counted.
fn usage_of(now: SystemTime, who: Who) -> Usage {
    Usage::keep_for(now, APART * (u32::from(who) + 1))
}

async fn act_on(
    probe: &Probe,
    act: Act,
    who: Who,
    session: &Sample,
    version: &Version,
    now: SystemTime,
) -> Verdict<Given> {
    let (id, record, usage) = (&session.id, session.variant(usize::from(who)), usage_of(now, who));
    Ok(match act {
        Act::Load => Given::Loaded(probe.load(id).await?),
        Act::Create => match probe.create(id, &record, usage).await? {
            Create::Created(version) => Given::Made(version),
            Create::Exists => Given::Other(Answer::Exists),
        },
        Act::Update => match probe.update(id, &record, version, usage).await? {
            Update::Updated(version) => Given::Made(version),
            Update::Conflict(_) => Given::Other(Answer::Conflict),
            Update::Gone => Given::Other(Answer::Gone),
        },
        Act::Touch => Given::Other(match probe.touch(id, usage).await? {
            Touch::Touched => Answer::Touched,
            Touch::Gone => Answer::Gone,
        }),
        Act::Remove => Given::Other(Answer::Removed(probe.remove(id).await?)),
    })
}

/// The model: returns the state after a call, and its answer.
fn apply(state: Option<State>, act: Act, who: Who) -> (Option<State>, Answer) {
    let made = Some(State { record: who, version: who, expiry: who });
    match (act, state) {
        (Act::Load, _) => (state, Answer::Loaded(state)),
        (Act::Create, None) => (made, Answer::Made),
        (Act::Create, Some(_)) => (state, Answer::Exists),
        (Act::Update, Some(State { version: 0, .. })) => (made, Answer::Made),
        (Act::Update, Some(_)) => (state, Answer::Conflict),
        (Act::Touch, Some(state)) => (Some(State { expiry: who, ..state }), Answer::Touched),
        (Act::Update | Act::Touch, None) => (None, Answer::Gone),
        (Act::Remove, _) => (None, Answer::Removed(state.is_some())),
    }
}

/// Translates a loaded record into the model.
fn state_of(
    g2: &Probe,
    stored: &Stored,
    session: &Sample,
    versions: &[Option<Version>; 3],
    now: SystemTime,
) -> Verdict<State> {
    let record_of = |who: Who| if who == 0 { Arc::clone(&session.record) } else { session.variant(usize::from(who)) };
    let whose = |is: &dyn Fn(Who) -> bool| (0..3).find(|who| is(*who));
    let record = whose(&|who| *record_of(who) == *stored.record);
    let version = whose(&|who| versions[usize::from(who)] == Some(stored.version));
    let expiry = whose(&|who| g2.is_expiry(usage_of(now, who).expires_at, stored.expires_at));
    match (record, version, expiry) {
        (Some(record), Some(version), Some(expiry)) => Ok(State { record, version, expiry }),
        _ => g2.broken(format!(
            "`load` during another call answered a state that nobody stored: record of {record:?}, version of \
             {version:?}, expiry of {expiry:?}"
        )),
    }
}
