//! Compares the memory store with quick_cache and moka as engines, and with a plain sharded hash map.
//!
//! ```sh
//! cargo run --release -p engines
//! ```
//!
//! Each candidate runs in a separate process. The libraries get what a session store needs: an entry with record,
//! version and expiry, which is checked at each load; a weight in bytes; an atomic version check. What they can't do
//! (see the table at the end) is not emulated, so they do less work in their times than the store does.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, Barrier, Mutex, RwLock},
    time::{Duration, Instant, SystemTime},
};

use engines::{Random, fresh_id, now, reference, resident};
use session_layer::{
    MemoryStore, SessionId, SessionStore,
    record::Record,
    store::{Update, Usage, Version},
};

const ROUNDS: usize = 9;

#[derive(Debug, Clone)]
struct Entry {
    record: Arc<Record>,
    version: u64,
    expires_at: SystemTime,
}

impl Entry {
    fn new(record: &Arc<Record>, version: u64) -> Self {
        let expires_at = Usage::at(record, SystemTime::now()).expires_at;
        Self { record: Arc::clone(record), version, expires_at }
    }

    fn live(self) -> Option<Self> {
        (SystemTime::now() < self.expires_at).then_some(self)
    }
}

/// The calls that are measured.
trait Engine: Send + Sync {
    fn create(&self, id: SessionId, record: &Arc<Record>);
    fn load(&self, id: &SessionId) -> Option<Arc<Record>>;
    /// Loads, then replaces if the version is still the loaded one.
    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool;
}

struct Plain(Vec<RwLock<HashMap<SessionId, Entry>>>);

impl Plain {
    fn shard(&self, id: &SessionId) -> &RwLock<HashMap<SessionId, Entry>> {
        &self.0[usize::from(id.as_bytes()[0]) % self.0.len()]
    }
}

impl Engine for Plain {
    fn create(&self, id: SessionId, record: &Arc<Record>) {
        self.shard(&id).write().expect("no panics").insert(id, Entry::new(record, 1));
    }

    fn load(&self, id: &SessionId) -> Option<Arc<Record>> {
        let entry = self.shard(id).read().expect("no panics").get(id).cloned()?;
        Some(entry.live()?.record)
    }

    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool {
        let Some(version) = self.shard(id).read().expect("no panics").get(id).map(|entry| entry.version) else {
            return false;
        };
        match self.shard(id).write().expect("no panics").get_mut(id) {
            Some(entry) if entry.version == version => {
                *entry = Entry::new(record, version + 1);
                true
            }
            _ => false,
        }
    }
}

/// The same with one mutex per shard, which any engine that maintains an order of use needs.
struct PlainMutex(Vec<Mutex<HashMap<SessionId, Entry>>>);

impl PlainMutex {
    fn shard(&self, id: &SessionId) -> &Mutex<HashMap<SessionId, Entry>> {
        &self.0[usize::from(id.as_bytes()[0]) % self.0.len()]
    }
}

impl Engine for PlainMutex {
    fn create(&self, id: SessionId, record: &Arc<Record>) {
        self.shard(&id).lock().expect("no panics").insert(id, Entry::new(record, 1));
    }

    fn load(&self, id: &SessionId) -> Option<Arc<Record>> {
        let entry = self.shard(id).lock().expect("no panics").get(id).cloned()?;
        Some(entry.live()?.record)
    }

    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool {
        let Some(version) = self.shard(id).lock().expect("no panics").get(id).map(|entry| entry.version) else {
            return false;
        };
        match self.shard(id).lock().expect("no panics").get_mut(id) {
            Some(entry) if entry.version == version => {
                *entry = Entry::new(record, version + 1);
                true
            }
            _ => false,
        }
    }
}

#[derive(Clone)]
struct Weigh;

impl quick_cache::Weighter<SessionId, Entry> for Weigh {
    fn weight(&self, _: &SessionId, entry: &Entry) -> u64 {
        entry.record.entries().as_bytes().len() as u64 + 300
    }
}

struct Quick(quick_cache::sync::Cache<SessionId, Entry, Weigh>);

impl Engine for Quick {
    fn create(&self, id: SessionId, record: &Arc<Record>) {
        self.0.insert(id, Entry::new(record, 1));
    }

    fn load(&self, id: &SessionId) -> Option<Arc<Record>> {
        Some(self.0.get(id)?.live()?.record)
    }

    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool {
        use quick_cache::sync::{EntryAction, EntryResult};

        let Some(version) = self.0.get(id).map(|entry| entry.version) else { return false };
        let result = self.0.entry(id, None, |_, entry: &mut Entry| {
            let same = entry.version == version;
            if same {
                *entry = Entry::new(record, version + 1);
            }
            EntryAction::Retain(same)
        });
        matches!(result, EntryResult::Retained(true))
    }
}

struct Expire;

impl moka::Expiry<SessionId, Entry> for Expire {
    fn expire_after_create(&self, _: &SessionId, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.expires_at.duration_since(SystemTime::now()).ok()
    }

    fn expire_after_update(&self, _: &SessionId, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        entry.expires_at.duration_since(SystemTime::now()).ok()
    }
}

struct Moka(moka::sync::Cache<SessionId, Entry>);

impl Engine for Moka {
    fn create(&self, id: SessionId, record: &Arc<Record>) {
        self.0.insert(id, Entry::new(record, 1));
    }

    fn load(&self, id: &SessionId) -> Option<Arc<Record>> {
        Some(self.0.get(id)?.live()?.record)
    }

    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool {
        use moka::ops::compute::{CompResult, Op};

        let Some(version) = self.0.get(id).map(|entry| entry.version) else { return false };
        let result = self.0.entry(*id).and_compute_with(|entry| match entry {
            Some(entry) if entry.value().version == version => Op::Put(Entry::new(record, version + 1)),
            _ => Op::Nop,
        });
        matches!(result, CompResult::ReplacedWith(_))
    }
}

/// The store as it is, through its contract, with clock, events and futures.
struct Ours(MemoryStore);

impl Engine for Ours {
    fn create(&self, id: SessionId, record: &Arc<Record>) {
        now(self.0.create(&id, record, Usage::at(record, SystemTime::now()))).expect("open");
    }

    fn load(&self, id: &SessionId) -> Option<Arc<Record>> {
        now(self.0.load(id)).expect("open").map(|stored| stored.record)
    }

    fn update(&self, id: &SessionId, record: &Arc<Record>) -> bool {
        let Some(stored) = now(self.0.load(id)).expect("open") else { return false };
        let version: Version = stored.version;
        let usage = Usage::at(record, SystemTime::now());
        matches!(now(self.0.update(id, record, &version, usage)).expect("open"), Update::Updated(_))
    }
}

const ENGINES: [&str; 5] = ["plain rwlock", "plain mutex", "quick_cache", "moka", "memory store"];

fn engine(name: &str, capacity: usize) -> Box<dyn Engine> {
    let bytes = capacity as u64 * 1_300;
    match name {
        "plain rwlock" => Box::new(Plain((0..64).map(|_| RwLock::default()).collect())),
        "plain mutex" => Box::new(PlainMutex((0..64).map(|_| Mutex::default()).collect())),
        "quick_cache" => Box::new(Quick(quick_cache::sync::Cache::with_weighter(capacity, bytes, Weigh))),
        "moka" => Box::new(Moka(
            moka::sync::Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, entry: &Entry| entry.record.entries().as_bytes().len() as u32 + 300)
                .expire_after(Expire)
                .build(),
        )),
        _ => Box::new(Ours(
            MemoryStore::builder().capacity(capacity as u64).bytes((bytes * 2).max(1 << 20)).open().expect("valid"),
        )),
    }
}

/// Returns the nanoseconds of one call: the median of the rounds.
fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..calls).for_each(|_| call());
            began.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn filled(name: &str, count: usize) -> (Box<dyn Engine>, Vec<SessionId>) {
    // With spare capacity, so that uneven shards evict nothing.
    let engine = engine(name, count + count / 8 + 100);
    let ids: Vec<_> = (0..count).map(|_| fresh_id()).collect();
    for (number, id) in ids.iter().enumerate() {
        engine.create(*id, &reference(number as u64));
    }
    (engine, ids)
}

/// Returns the loads a second of this many threads.
fn throughput(engine: &dyn Engine, ids: &[SessionId], threads: u64) -> f64 {
    const CALLS: usize = 400_000;
    let mut rounds: Vec<f64> = (0..5)
        .map(|_| {
            let barrier = Barrier::new(threads as usize + 1);
            let began = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..threads)
                    .map(|thread| {
                        let barrier = &barrier;
                        scope.spawn(move || {
                            let mut random = Random(thread + 1);
                            barrier.wait();
                            for _ in 0..CALLS {
                                std::hint::black_box(engine.load(&ids[random.below(ids.len())]));
                            }
                        })
                    })
                    .collect();
                barrier.wait();
                let began = Instant::now();
                workers.into_iter().for_each(|worker| worker.join().expect("no panics"));
                began
            });
            (CALLS as u64 * threads) as f64 / began.elapsed().as_secs_f64()
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[2]
}

fn measure(name: &str) {
    // In a runtime, as in a server, so that the store's sweep can run.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let mut random = Random(42);
    let before = resident();
    let (engine_100k, ids) = filled(name, 100_000);
    // Without the 16 bytes of each id in `ids`.
    let per_session = (resident() - before) as f64 / 100_000.0 - 16.0;
    let one = throughput(&*engine_100k, &ids, 1);
    let two = throughput(&*engine_100k, &ids, 2);
    drop((engine_100k, ids));

    let (small, ids) = filled(name, 1_000);
    let load_1k = time(200_000, || {
        std::hint::black_box(small.load(&ids[random.below(ids.len())]));
    });
    let record = reference(1);
    let update_1k = time(100_000, || {
        std::hint::black_box(small.update(&ids[random.below(ids.len())], &record));
    });
    drop((small, ids));

    let full = engine(name, 10_000);
    for number in 0..20_000 {
        full.create(fresh_id(), &reference(number));
    }
    let fresh: Vec<_> = (0..20_000 * ROUNDS).map(|_| fresh_id()).collect();
    let mut next = fresh.iter();
    let evict = time(20_000, || {
        if let Some(id) = next.next() {
            full.create(*id, &record);
        }
    });
    let newest = fresh.iter().rev().take(1_000).filter(|id| full.load(id).is_some()).count();
    drop((full, fresh));

    let (large, ids) = filled(name, 1_000_000);
    let load_1m = time(300_000, || {
        std::hint::black_box(large.load(&ids[random.below(ids.len())]));
    });
    println!(
        "| {name} | {load_1k:.0} | {load_1m:.0} | {update_1k:.0} | {evict:.0} | {:.2} | {:.2} | {:.2} | {per_session:.0} | {newest} |",
        one / 1e6,
        two / 1e6,
        two / one
    );
}

fn main() {
    if let Some(name) = std::env::args().nth(1) {
        return measure(&name);
    }
    println!(
        "| engine | load at 1,000, ns | load at 1,000,000, ns | load and update, ns | create in a full one, ns | \
         loads a second, one thread, M | two threads, M | ratio | bytes per session | of the newest 1,000 present |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let program = std::env::current_exe().expect("this program");
    for name in ENGINES {
        let status = Command::new(&program).arg(name).status().expect("this program starts");
        assert!(status.success(), "{name}");
    }
}
