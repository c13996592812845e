//! Schedules searched by shuttle, on the production code:
//!
//! Three tasks work on one id, each with two operations. Every mix of operations is tried under many schedules. In each
//! of them:
//!
//! - a load that begins after a write was answered sees that write, or a later one;
//! - a load that begins after a removal was answered sees nothing;
//! - after all operations, the cache answers as the store does, and no work is left under way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{sample::*, store::TestStore};
use crate::store::{CacheConfig, CachedStore, Create, Rename, SessionStore, Stored, Touch, Update, Version};

/// Schedules for each of the 729 mixes.
const RUNS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Load,
    /// Dropped after a few polls.
    DroppedLoad,
    Remove,
    DroppedRemove,
    Update,
    DroppedUpdate,
    Touch,
    Rename,
    Clear,
}

const OPERATIONS: [Operation; 9] = [
    Operation::Load,
    Operation::DroppedLoad,
    Operation::Remove,
    Operation::DroppedRemove,
    Operation::Update,
    Operation::DroppedUpdate,
    Operation::Touch,
    Operation::Rename,
    Operation::Clear,
];

/// The answers so far.
#[derive(Default)]
struct Known {
    version: AtomicU64,
    removed: AtomicBool,
}

impl Known {
    fn saw(&self, version: Version) {
        self.version.fetch_max(version.to_u64().unwrap(), Ordering::SeqCst);
    }
}

async fn run(store: &impl SessionStore, operation: Operation, held: &mut Version, known: &Known, number: usize) {
    let a = id("a");
    match operation {
        Operation::Load => checked_load(store, held, known).await,
        Operation::DroppedLoad => dropped(store.load(&a), number).await,
        Operation::DroppedRemove => dropped(store.remove(&a), number).await,
        Operation::DroppedUpdate => dropped(store.update(&a, &record("dropped"), held, usage()), number).await,
        Operation::Remove => {
            store.remove(&a).await.unwrap();
            known.removed.store(true, Ordering::SeqCst);
        }
        Operation::Update => match store.update(&a, &record("new"), held, usage()).await.unwrap() {
            Update::Updated(version) => {
                known.saw(version);
                *held = version;
            }
            Update::Conflict(_) | Update::Gone => {}
        },
        Operation::Touch => {
            let removed = known.removed.load(Ordering::SeqCst);
            let outcome = store.touch(&a, usage()).await.unwrap();
            assert!(!removed || outcome == Touch::Gone);
        }
        Operation::Rename => {
            let to = id(&format!("to {number}"));
            if let Rename::Renamed(version) =
                store.rename(&a, held, &tombstone(), &to, &record("moved"), usage()).await.unwrap()
            {
                // The tombstone was written after the new record.
                known.saw(version);
                // Absent if everything was cleared meanwhile.
                assert!(text(store.load(&to).await.unwrap()).is_none_or(|text| text == "moved"));
            }
        }
        Operation::Clear => {
            store.clear().await.unwrap();
            known.removed.store(true, Ordering::SeqCst);
        }
    }
}

async fn checked_load(store: &impl SessionStore, held: &mut Version, known: &Known) {
    let (version, removed) = (known.version.load(Ordering::SeqCst), known.removed.load(Ordering::SeqCst));
    let loaded = store.load(&id("a")).await.unwrap();
    if let Some(stored) = loaded {
        assert!(!removed, "it was removed before this load began");
        assert!(stored.version.to_u64().unwrap() >= version, "it was changed before this load began");
        *held = stored.version;
    }
}

async fn dropped<T>(future: impl Future<Output = T>, polls: usize) {
    let mut future = std::pin::pin!(future);
    for _ in 0..=polls {
        let ready = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready()));
        if ready.await {
            return;
        }
        shuttle::future::yield_now().await;
    }
}

/// Runs the operations, those of task 0 on `first` and the others on `others`.
fn scenario<F: SessionStore + Clone, O: SessionStore + Clone>(
    stores: impl Fn() -> (TestStore, F, O, CachedStore<TestStore>) + Send + Sync + 'static,
    tasks: [[Operation; 2]; 3],
) {
    let check = move || {
        shuttle::future::block_on(async {
            let (bare, first, others, cache) = stores();
            let Create::Created(version) = bare.create(&id("a"), &record("old"), usage()).await.unwrap() else {
                panic!("it is new")
            };
            let known = Arc::new(Known::default());
            let mut running = Vec::new();
            for (number, operations) in tasks.into_iter().enumerate() {
                let (known, first, others) = (Arc::clone(&known), first.clone(), others.clone());
                running.push(shuttle::future::spawn(async move {
                    let mut held = version;
                    for operation in operations {
                        if number == 0 {
                            run(&first, operation, &mut held, &known, number).await;
                            checked_load(&first, &mut held, &known).await;
                        } else {
                            run(&others, operation, &mut held, &known, number).await;
                        }
                    }
                }));
            }
            for task in running {
                task.await.unwrap();
            }
            let (left, right) = (bare.load(&id("a")).await.unwrap(), cache.load(&id("a")).await.unwrap());
            let state = |stored: &Stored| (stored.version, stored.usage(), Arc::clone(&stored.record));
            assert_eq!(left.as_ref().map(state), right.as_ref().map(state));
            assert_eq!(cache.cache.as_ref().unwrap().table.active(), 0);
        });
    };
    let mut config = shuttle::Config::new();
    // shuttle's default of 32 KiB is too small for the futures of a debug build.
    config.stack_size = 1 << 19;
    shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(RUNS), config).run(check);
}

fn mixes() -> impl Iterator<Item = [[Operation; 2]; 3]> {
    // Task 0 also loads after each of its operations. The second operation of the others is a load or an update.
    OPERATIONS.into_iter().flat_map(|a| {
        OPERATIONS.into_iter().flat_map(move |b| {
            OPERATIONS.into_iter().map(move |c| [[Operation::Load, a], [b, Operation::Load], [c, Operation::Update]])
        })
    })
}

/// All tasks run in one process that trusts its cache without a limit: only the cache's own coherence keeps it right.
#[test]
fn one_process_that_trusts_its_cache_sees_no_stale_record() {
    for tasks in mixes() {
        let stores = || {
            let bare = TestStore::new(clock());
            let cache = CachedStore::with_config(bare.clone(), CacheConfig::new().trusted(FOREVER).clock(clock()));
            (bare, cache.clone(), cache.clone(), cache)
        };
        scenario(stores, tasks);
    }
}

/// Two processes, each with a validating cache: as fresh as the store itself.
#[test]
fn two_processes_that_validate_see_no_stale_record() {
    for tasks in mixes() {
        let stores = || {
            let bare = TestStore::new(clock());
            let cache = || CachedStore::with_config(bare.clone(), CacheConfig::new().clock(clock()));
            let first = cache();
            (bare.clone(), first.clone(), cache(), first)
        };
        scenario(stores, tasks);
    }
}
