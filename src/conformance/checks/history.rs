//! One caller's long history, compared with a model: calls of all kinds, in every order.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use super::super::{
    bench::Bench,
    probe::Probe,
    sample::{Sample, tombstone},
    verdict::Verdict,
};
use crate::{
    id::SessionId,
    record::Record,
    store::{Create, Refresh, Rename, Stored, Touch, Update, Usage, Version},
};

/// The number of sessions: few, so that each meets every kind of call.
const SESSIONS: usize = 6;

/// The expected contents of the store, as simple as possible.
#[derive(Default)]
struct Model {
    live: HashMap<SessionId, Held>,
    /// For each id, a version that was current once and isn't any more.
    stale: HashMap<SessionId, Version>,
}

#[derive(Clone)]
struct Held {
    record: Arc<Record>,
    version: Version,
    expires_at: SystemTime,
}

impl Model {
    fn put(&mut self, id: &SessionId, record: &Arc<Record>, version: Version, usage: Usage) {
        let expires_at = usage.expires_at.min(record.absolute_limit());
        let held = Held { record: Arc::clone(record), version, expires_at };
        if let Some(before) = self.live.insert(*id, held) {
            self.stale.insert(*id, before.version);
        }
    }

    fn drop(&mut self, id: &SessionId) -> bool {
        self.live.remove(id).map(|held| self.stale.insert(*id, held.version)).is_some()
    }
}

/// A pseudo-random generator with a fixed seed, so that a failure can be repeated. (xorshift64*, Vigna 2016.)
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % sides
    }
}

pub(super) async fn l1_a_long_history_is_as_in_the_model(bench: Bench) -> Verdict {
    let l1 = bench.about("L1");
    // The model can predict the expiry only if time is manual and expiry exact to the millisecond.
    let exact = l1.exact() && l1.harness().late.is_zero();
    let steps = l1.harness().rounds.saturating_mul(if exact { 20 } else { 2 });
    let mut dice = Dice(0x5e55_1011);
    let mut model = Model::default();
    let mut sessions: Vec<_> = (0..SESSIONS).map(|_| l1.sample()).collect();
    for step in 0..steps {
        if exact && dice.roll(8) == 0 {
            l1.until(l1.now() + l1.units(1)).await;
            let now = l1.now();
            model.live.retain(|_, held| now < held.expires_at);
        }
        let which = dice.roll(SESSIONS);
        let session = &sessions[which];
        // A store that counts whole seconds can't tell touches apart that differ by less: each of these moves the
        // expiry by minutes.
        let lives = if exact { [2, 5, 20, 100][dice.roll(4)] } else { 1_000 + 300 * (step % 200) };
        let change = Change { number: step as usize, usage: l1.keep(lives) };
        one_step(&bench, &mut model, session, &change, &mut dice).await?;
        compare(&bench, &model, &session.id).await?;
        // A new session now and then, as after a logout.
        if dice.roll(25) == 0 {
            sessions[which] = l1.sample();
        }
    }
    for session in &sessions {
        compare(&bench, &model, &session.id).await?;
    }
    Ok(())
}

struct Change {
    number: usize,
    usage: Usage,
}

async fn one_step(bench: &Bench, model: &mut Model, session: &Sample, change: &Change, dice: &mut Dice) -> Verdict {
    let (id, usage) = (&session.id, change.usage);
    let record = session.variant(change.number);
    let held = model.live.get(id).cloned();
    match dice.roll(7) {
        0 => {
            let (probe, there) = if held.is_some() { (bench.about("C1"), true) } else { (bench.about("C3"), false) };
            match (probe.create(id, &record, usage).await?, there) {
                (Create::Created(version), false) => model.put(id, &record, version, usage),
                (Create::Exists, true) => {}
                (answer, _) => probe.broken(step("create", change, held.as_ref(), answer))?,
            }
        }
        1 => update(&bench.about("U1"), model, id, &record, held.as_ref().map(|held| held.version), change).await?,
        2 => match model.stale.get(id).copied() {
            Some(stale) if held.as_ref().is_none_or(|held| held.version != stale) => {
                stale_update(bench, id, &record, stale, held.as_ref(), change).await?;
            }
            _ => {}
        },
        3 => {
            let t2 = bench.about("T2");
            match (t2.touch(id, usage).await?, &held) {
                (Touch::Touched, Some(held)) => {
                    let later = usage.expires_at.min(held.record.absolute_limit()).max(held.expires_at);
                    let touched = Held { expires_at: later, ..held.clone() };
                    model.live.insert(*id, touched);
                }
                (Touch::Gone, None) => {}
                (answer, _) => t2.broken(step("touch", change, held.as_ref(), answer))?,
            }
        }
        4 => {
            let r2 = bench.about("R2");
            let removed = r2.remove(id).await?;
            r2.holds(removed == model.drop(id), step("remove", change, held.as_ref(), removed))?;
        }
        5 => {
            let Some(held) = held else { return Ok(()) };
            let (n2, to) = (bench.about("N2"), bench.about("N2").sample());
            let tombstone = tombstone(to.usage.used_at);
            match n2.rename(id, &held.version, &tombstone, &to.id, &to.record, to.usage).await? {
                Rename::Renamed(version) => {
                    model.put(&to.id, &to.record, version, to.usage);
                    compare(bench, model, &to.id).await?;
                    n2.remove(&to.id).await?;
                    model.drop(&to.id);
                    let left = n2.present(id, "after `rename`, the old id").await?;
                    // Not the expiry in the answer: a store may be late once, but must not get later with each call.
                    model.put(id, &tombstone, left.version, Usage::at(&tombstone, to.usage.used_at));
                }
                answer => n2.broken(step("rename", change, Some(&held), answer))?,
            }
        }
        _ => {
            let Some(held) = held else { return Ok(()) };
            let f1 = bench.about("F1");
            let stored = Stored::new(Arc::clone(&held.record), held.version, usage);
            match f1.refresh(id, &stored).await? {
                Refresh::Same { usage: now, .. } => {
                    f1.expires(held.expires_at, now.expires_at, "`refresh` of what is held")?
                }
                answer => f1.broken(step("refresh", change, Some(&held), answer))?,
            }
        }
    }
    Ok(())
}

async fn update(
    u1: &Probe,
    model: &mut Model,
    id: &SessionId,
    record: &Arc<Record>,
    version: Option<Version>,
    change: &Change,
) -> Verdict {
    let there = version.is_some();
    let Some(expected) = version.or_else(|| model.stale.get(id).copied()) else { return Ok(()) };
    match (u1.update(id, record, &expected, change.usage).await?, there) {
        (Update::Updated(version), true) => model.put(id, record, version, change.usage),
        (Update::Gone, false) => {}
        (answer, _) => u1.broken(step("update", change, model.live.get(id), answer))?,
    }
    Ok(())
}

async fn stale_update(
    bench: &Bench,
    id: &SessionId,
    record: &Arc<Record>,
    stale: Version,
    held: Option<&Held>,
    change: &Change,
) -> Verdict {
    let u2 = bench.about("U2");
    let expected = if held.is_some() { Update::Conflict(None) } else { Update::Gone };
    let answer = u2.update(id, record, &stale, change.usage).await?;
    u2.holds(answer == expected, step("update with an older version", change, held, answer))
}

/// Describes this step of the history.
fn step(call: &str, change: &Change, held: Option<&Held>, answer: impl std::fmt::Debug) -> String {
    let state = match held {
        Some(held) => format!("a live record of kind {:?} was", held.record.kind()),
        None => "no live record was".to_owned(),
    };
    format!("step {} of the history, `{call}` where {state}: the store answered {answer:?}", change.number)
}

/// Fails unless the store and the model agree about this id.
async fn compare(bench: &Bench, model: &Model, id: &SessionId) -> Verdict {
    match model.live.get(id) {
        Some(held) => {
            let l1 = bench.about("L1");
            l1.unchanged(id, &held.record, &held.version, "in a long history").await?;
            let stored = l1.present(id, "in a long history").await?;
            l1.expires(held.expires_at, stored.expires_at, "in a long history")
        }
        None => bench.about("L2").absent(id, "in a long history").await,
    }
}
