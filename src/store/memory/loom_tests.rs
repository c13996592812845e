//! Runs every schedule of two or three calls under loom, on the code that runs in production.
//!
//! ```sh
//! RUSTFLAGS="--cfg session_layer_loom" CARGO_TARGET_DIR=target/loom LOOM_MAX_PREEMPTIONS=3 \
//!     cargo test --release --lib --no-default-features --features memory loom_tests
//! ```

#![cfg(session_layer_loom)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use loom::thread;

use super::{occupancy::Bounds, table::Table};
use crate::{
    Lifetime, SessionId,
    id::TokenCheck,
    record::{Epoch, Owner, Record, RecordKind},
    store::{Create, Rename, Touch, Update, Usage, Version},
};

const NOW: u64 = 1_800_000_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOW)
}

fn record(owner: Option<&str>) -> Arc<Record> {
    let owner = owner.map(|name| Owner::new(name, Epoch::from_u64(1)).unwrap());
    Arc::new(Record::session(TokenCheck::from_bytes([1; 16]), now(), Lifetime::default()).with_owner(owner))
}

fn tombstone() -> Arc<Record> {
    Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([1; 16]), now()))
}

fn usage() -> Usage {
    Usage::keep_for(now(), Duration::from_secs(3_600))
}

/// Two shards, and ids in both of them.
struct Bench {
    table: Table,
    /// In the first, the second and the first shard.
    ids: [SessionId; 3],
}

fn bench(capacity: u64) -> Arc<Bench> {
    let table = Table::with_shards(2, Bounds::new(capacity, 1 << 20), 0, None, NOW);
    let mut numbers = 0u32..;
    let mut id_in = |shard| {
        let id = |number: u32| SessionId::from_uuid(uuid::Uuid::from_u128(u128::from(number) << 64 | 7));
        numbers.by_ref().map(id).find(|id| table.shard_of(id) == shard).unwrap()
    };
    let ids = [id_in(0), id_in(1), id_in(0)];
    Arc::new(Bench { table, ids })
}

impl Bench {
    fn create(&self, at: usize, owner: Option<&str>) -> Option<Version> {
        match self.table.create(&self.ids[at], &record(owner), usage(), NOW).unwrap().outcome {
            Create::Created(version) => Some(version),
            Create::Exists => None,
        }
    }

    fn update(&self, at: usize, expected: &Version, owner: Option<&str>) -> Update {
        self.table.update(&self.ids[at], &record(owner), expected, usage(), NOW).unwrap().outcome
    }

    fn rename(&self, from: usize, expected: &Version, to: usize, owner: Option<&str>) -> Rename {
        let (from, to) = (&self.ids[from], &self.ids[to]);
        self.table.rename((from, to), expected, &tombstone(), &record(owner), usage(), NOW).unwrap().outcome
    }

    fn remove(&self, at: usize) -> bool {
        self.table.remove(&self.ids[at], NOW).unwrap().outcome.is_some()
    }

    fn kind(&self, at: usize) -> Option<RecordKind> {
        self.table.peek(&self.ids[at], |held| held.record.kind()).unwrap()
    }

    fn owned(&self, owner: &str) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.table.list_owner(owner, NOW).unwrap().into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Checks that totals, occupancy and owner index agree with the records.
    fn settled(&self) {
        let kinds: Vec<_> = (0..3).filter_map(|at| self.kind(at)).collect();
        let sessions = kinds.iter().filter(|kind| **kind == RecordKind::Session).count() as u64;
        assert_eq!(self.table.shared.occupancy.sessions(), sessions);
        assert_eq!(self.table.totals().present(), sessions);
        let cost = |at: &usize| self.table.peek(&self.ids[*at], |held| super::slot::cost(&held.record)).unwrap();
        assert_eq!(self.table.shared.occupancy.bytes(), (0..3).filter_map(|at| cost(&at)).sum::<u64>());
        let owners: std::collections::HashSet<_> = (0..3)
            .filter_map(|at| {
                let owner = |held: &super::slot::Slot| held.record.owner().map(|owner| owner.name().clone());
                self.table.peek(&self.ids[at], owner).unwrap().flatten()
            })
            .collect();
        assert_eq!(self.table.shared.owners.len(), owners.len());
    }
}

/// Runs both calls in every schedule.
fn every_schedule<A: Send + 'static, B: Send + 'static>(
    prepare: impl Fn() -> Arc<Bench> + Send + Sync + 'static,
    first: impl Fn(&Bench) -> A + Copy + Send + Sync + 'static,
    second: impl Fn(&Bench) -> B + Copy + Send + Sync + 'static,
    judge: impl Fn(&Bench, A, B) + Send + Sync + 'static,
) {
    let schedules = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&schedules);
    loom::model(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bench = prepare();
        let other = Arc::clone(&bench);
        let thread = thread::spawn(move || first(&other));
        let second = second(&bench);
        let first = thread.join().unwrap();
        judge(&bench, first, second);
        bench.settled();
    });
    // At least the two orders.
    assert!(schedules.load(std::sync::atomic::Ordering::Relaxed) > 1);
}

fn one(owner: Option<&'static str>) -> impl Fn() -> Arc<Bench> + Send + Sync {
    move || {
        let bench = bench(100);
        assert_eq!(bench.create(0, owner), Some(FIRST));
        bench
    }
}

const FIRST: Version = Version::from_u64(1);

#[test]
fn one_of_two_creates_wins() {
    every_schedule(
        || bench(100),
        |bench| bench.create(0, None).is_some(),
        |bench| bench.create(0, None).is_some(),
        |_, first, second| assert!(first ^ second),
    );
}

#[test]
fn one_of_two_updates_wins() {
    every_schedule(
        one(None),
        |bench| matches!(bench.update(0, &FIRST, None), Update::Updated(_)),
        |bench| matches!(bench.update(0, &FIRST, None), Update::Updated(_)),
        |_, first, second| assert!(first ^ second),
    );
}

/// No update or touch brings a removed session back.
#[test]
fn a_removed_session_stays_removed() {
    every_schedule(
        one(Some("alice")),
        |bench| bench.update(0, &FIRST, Some("bob")),
        |bench| bench.remove(0),
        |bench, updated, removed| {
            assert!(removed && updated != Update::Conflict(None));
            assert_eq!((bench.kind(0), bench.owned("alice"), bench.owned("bob")), (None, vec![], vec![]));
        },
    );
    every_schedule(
        one(None),
        |bench| bench.table.touch(&bench.ids[0], usage(), NOW).unwrap().outcome,
        |bench| bench.remove(0),
        |bench, touched, removed| {
            assert!(removed && matches!(touched, Touch::Touched | Touch::Gone));
            assert_eq!(bench.kind(0), None);
        },
    );
}

/// A rename over two shards, and one within a shard.
#[test]
fn a_rename_loses_no_update_and_revives_nothing() {
    for to in [1, 2] {
        every_schedule(
            one(Some("alice")),
            move |bench| matches!(bench.rename(0, &FIRST, to, Some("alice")), Rename::Renamed(_)),
            |bench| matches!(bench.update(0, &FIRST, Some("alice")), Update::Updated(_)),
            |_, renamed, updated| assert!(renamed ^ updated),
        );
        every_schedule(
            one(None),
            move |bench| matches!(bench.rename(0, &FIRST, to, None), Rename::Renamed(_)),
            |bench| bench.remove(0),
            move |bench, renamed, removed| {
                assert!(removed);
                assert!(matches!(bench.kind(0), None | Some(RecordKind::Tombstone)));
                assert_eq!(bench.kind(to).is_some(), renamed);
            },
        );
    }
}

/// Two renames in opposite directions over the same two shards don't deadlock.
#[test]
fn crossing_renames_do_not_deadlock() {
    every_schedule(
        || {
            let bench = bench(100);
            bench.create(0, None).unwrap();
            bench.create(1, None).unwrap();
            bench
        },
        |bench| bench.rename(0, &FIRST, 1, None),
        |bench| bench.rename(1, &Version::from_u64(2), 2, None),
        |_, first, second| {
            assert_eq!(first, Rename::Exists);
            assert!(matches!(second, Rename::Renamed(_)));
        },
    );
}

/// A session that is being renamed is listed under exactly one of its ids.
#[test]
fn a_renamed_session_is_listed_once() {
    every_schedule(
        one(Some("alice")),
        |bench| bench.rename(0, &FIRST, 1, Some("alice")),
        |bench| bench.owned("alice"),
        |_, renamed, listed| {
            assert!(matches!(renamed, Rename::Renamed(_)));
            assert_eq!(listed.len(), 1);
        },
    );
}

/// Two sessions are created in a full store: the bound is kept, neither evicts too much, and the login stays.
#[test]
fn eviction_keeps_the_bound_and_evicts_no_more_than_needed() {
    every_schedule(
        || {
            let bench = bench(2);
            bench.create(0, Some("alice")).unwrap();
            bench
        },
        |bench| bench.create(1, None).is_some(),
        |bench| bench.create(2, None).is_some(),
        |bench, first, second| {
            assert!(first && second);
            assert_eq!(bench.table.shared.occupancy.sessions(), 2);
            assert_eq!(bench.kind(0), Some(RecordKind::Session));
            assert_eq!(bench.table.totals().evicted, 1);
        },
    );
}

/// A session that is renamed during a clear is cleared under both of its ids.
#[test]
fn clear_is_atomic() {
    every_schedule(
        one(Some("alice")),
        |bench| bench.table.clear(NOW).unwrap().0,
        |bench| bench.rename(0, &FIRST, 1, Some("alice")),
        |bench, cleared, renamed| {
            assert_eq!(cleared, 1);
            // It was renamed before the clear, or is gone after it.
            assert!(matches!(renamed, Rename::Renamed(_) | Rename::Gone));
            assert_eq!((bench.kind(0), bench.kind(1)), (None, None));
        },
    );
}

#[test]
fn nothing_changes_after_close() {
    every_schedule(
        one(None),
        |bench| bench.table.remove(&bench.ids[0], NOW).is_ok(),
        |bench| {
            bench.table.close();
            bench.table.shard_even_closed(0).find(&bench.ids[0]).is_some()
        },
        |bench, removed, there| {
            assert_eq!(removed, !there);
            assert_eq!(bench.table.shard_even_closed(0).find(&bench.ids[0]).is_some(), there);
            // Opened again for inspection.
            (0..2).for_each(|at| bench.table.shard_even_closed(at).closed = false);
        },
    );
}
