//! `kill -9` at random moments.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead, BufReader},
    process::Child,
    time::SystemTime,
};

use session_layer::{
    FileStore, SessionId, SessionStore,
    record::RecordKind,
    store::{Listing, Usage},
};

use crate::{child, support::*};

const KILLS: u64 = 100;

/// The state of a slot: its session's generation, and the number in it; `None` if it was removed.
type State = (u64, Option<u64>);

#[derive(Default)]
struct Slot {
    /// The last acknowledged state.
    done: Option<State>,
    /// The state that was being written.
    begun: Option<State>,
}

/// A child's output until it was killed.
#[derive(Default)]
struct Told {
    slots: BTreeMap<u8, Slot>,
    /// Every acknowledged removal: slot and generation.
    removed: Vec<(u8, u64)>,
}

/// Lets a child print this many lines, kills it, and reads the rest of its output.
fn kill_after(mut child: Child, lines: u64) -> Told {
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = Told::default();
    let (mut heard, mut killed) = (0, false);
    for line in said.by_ref().filter_map(|line| child::said(&line)) {
        let words: Vec<_> = line.split(' ').collect();
        // The last line may be cut off.
        let [slot, sign, generation, number] = words[..] else { continue };
        if (sign, number) == ("!", "-") {
            told.removed.push((slot.parse().unwrap(), generation.parse().unwrap()));
        }
        let slot = told.slots.entry(slot.parse().unwrap()).or_default();
        let state = Some((generation.parse().unwrap(), number.parse().ok()));
        match sign {
            "?" => slot.begun = state,
            _ => (slot.done, slot.begun) = (state, None),
        }
        heard += 1;
        if heard >= lines && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    told
}

async fn check(
    store: &FileStore,
    slots: BTreeMap<u8, Slot>,
    living: &mut Vec<(SessionId, u64)>,
) -> HashMap<&'static str, u64> {
    let mut seen = HashMap::new();
    for (slot, Slot { done, begun }) in slots {
        let mut found = Vec::new();
        for state in [done, begun].into_iter().flatten() {
            // Every file is whole: a load is no error.
            let stored = store.load(&child::slot_id(slot, state.0)).await.unwrap();
            let live = stored.filter(|stored| stored.record.kind() == RecordKind::Session);
            living.extend(live.iter().map(|stored| (child::slot_id(slot, state.0), number(stored))));
            found.push((state, live.map(|stored| number(&stored))));
        }
        let holds = |(state, number): &(State, Option<u64>)| state.1 == *number;
        let outcome = match &found[..] {
            // Nothing was under way, so the state is exactly the acknowledged one.
            [one] if begun.is_none() => {
                assert!(holds(one), "slot {slot}: {one:?}");
                "as acknowledged"
            }
            // Its first operation, a create, was under way.
            [one] => {
                assert!(holds(one) || one.1.is_none(), "slot {slot}: {one:?}");
                "created or not"
            }
            [old, new] => {
                // A removed session stays removed, whatever came after.
                if old.0.1.is_none() {
                    assert!(holds(old), "slot {slot}: it was removed and is back: {old:?}");
                }
                assert!(holds(old) || holds(new), "slot {slot}: neither old nor new: {old:?} {new:?}");
                if holds(new) { "new" } else { "old" }
            }
            _ => unreachable!("two states at most"),
        };
        *seen.entry(outcome).or_insert(0) += 1;
        // The dead process holds no lock, and its half-written files disturb nobody.
        let (key, record) = (id(slot, u64::MAX), record_at(SystemTime::now(), 1));
        store.create(&key, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
        assert!(store.remove(&key).await.unwrap());
    }
    seen
}

async fn killed_at_random_moments(durability: &str) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::builder(dir.path()).durability(child::durability("none")).sweep_interval(None);
    let store = store.open().await.unwrap();
    let mut seen: HashMap<_, u64> = HashMap::new();
    let (mut living, mut removed) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        let child = child::command("churn", dir.path(), durability).spawn().unwrap();
        // Spread over several lives of the sessions.
        let told = kill_after(child, 1 + round * 37 % 101);
        removed.extend(told.removed);
        for (outcome, count) in check(&store, told.slots, &mut living).await {
            *seen.entry(outcome).or_default() += count;
        }
    }
    // After all the kills: every live session is there, and no removed one has come back.
    living.sort_unstable();
    living.dedup();
    assert!(living.len() > 50 && removed.len() > 50, "{} lived, {} were removed", living.len(), removed.len());
    for (id, expected) in living {
        assert_eq!(number(&store.load(&id).await.unwrap().expect("it lived")), expected);
    }
    for (slot, generation) in removed {
        assert!(store.load(&child::slot_id(slot, generation)).await.unwrap().is_none());
    }
    // A sweep removes all leftovers, and nothing else is in the directory.
    store.sweep().await.unwrap();
    for slot in 0..4 {
        assert!(!dir.path().join(format!("0{slot}/tmp")).exists());
        for entry in fs::read_dir(dir.path().join(format!("0{slot}"))).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "lock" || name.parse::<SessionId>().is_ok(), "{name}");
        }
    }
    let interrupted = seen.get("old").unwrap_or(&0) + seen.get("new").unwrap_or(&0);
    assert!(interrupted > KILLS / 4, "the kills came between operations: {seen:?}");
}

#[tokio::test]
async fn killed_at_random_moments_with_durability_none() {
    killed_at_random_moments("none").await;
}

#[tokio::test]
async fn killed_at_random_moments_with_durability_data() {
    killed_at_random_moments("data").await;
}

#[tokio::test]
async fn killed_at_random_moments_with_durability_full() {
    killed_at_random_moments("full").await;
}
