//! A soak test of the memory store: full load with a small capacity, and a check of the counts and the memory at the
//! end.
//!
//! ```sh
//! cargo run --release -p engines --bin soak -- 600 spread
//! ```
//!
//! The arguments are the time in seconds (600 by default) and the sizes of the values: `spread` (the default), `alike`
//! or `tailed`. Two threads create, load, update, touch, rename and remove sessions. Some sessions have owners, and
//! lifetimes are short. The soak fails if the memory exceeds the bound by more than 10 %, or if the counts don't
//! add up.
//!
//! glibc gives each thread an arena, and each arena keeps its largest extent. Here sessions are created and removed
//! within a second, so if the machine holds a thread up for part of a second, the arenas' shares shift, and the sum of
//! their largest extents grows. `MALLOC_ARENA_MAX=1` shows the store without this effect.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use engines::{Random, fresh_id, now, resident};
use session_layer::{
    Lifetime, MemoryStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Owner, Record},
    store::{Create, Listing, Rename, Usage},
};

const BYTES: u64 = 64 << 20;

const CAPACITY: u64 = 50_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(600);
    let sizes = match std::env::args().nth(2).as_deref() {
        None | Some("spread") => Sizes::Spread,
        Some("alike") => Sizes::Alike,
        Some("tailed") => Sizes::Tailed,
        Some(other) => panic!("sizes are spread, alike or tailed, not {other}"),
    };
    let empty = resident();
    let interval = Duration::from_secs(1);
    let store =
        MemoryStore::builder().capacity(CAPACITY).bytes(BYTES).sweep_interval(interval).open().expect("valid settings");
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (1..=2)
        .map(|seed| tokio::spawn(work(store.clone(), sizes, Arc::clone(&stop), Arc::clone(&calls), Random(seed))))
        .collect();
    let began = Instant::now();
    let (mut most_resident, mut most_present, mut most_bytes) = (0, 0, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let statistics = store.statistics();
        most_resident = most_resident.max(resident() - empty);
        most_present = most_present.max(statistics.present);
        most_bytes = most_bytes.max(statistics.bytes);
    }
    stop.store(true, Ordering::Release);
    for worker in workers {
        worker.await.expect("no panics");
    }
    let live = now(store.count()).expect("open");
    let end = store.statistics();
    let sum = live + end.expired + end.evicted + end.removed;
    let share = most_resident as f64 / BYTES as f64;
    println!(
        "soak: {sizes:?}, {seconds} s, {} calls; capacity {CAPACITY}, bound {BYTES} bytes; at most {most_present} sessions, \
         {most_bytes} bytes by the store's estimate, {most_resident} bytes resident ({:.1} % of the bound)",
        calls.load(Ordering::Relaxed),
        share * 100.0
    );
    println!(
        "soak: created {} = live {live} + expired {} + evicted {} + removed {} = {sum}",
        end.created, end.expired, end.evicted, end.removed
    );
    assert_eq!(end.created, sum, "the counts add up");
    // A call under way may have created a session and not yet made room for it.
    assert!(most_present <= CAPACITY + 2 && most_bytes <= BYTES + (64 << 10), "the bounds are kept");
    assert!(share <= 1.1, "the memory stays within 10 % of the bound");
    println!("soak: passed");
}

/// The sizes of the values, in bytes.
#[derive(Debug, Clone, Copy)]
enum Sizes {
    /// 100 to 2,500, uniformly.
    Spread,
    /// About 800: sessions of one application resemble each other.
    Alike,
    /// Nine in ten values have 100 to 500 bytes, and one in ten has 4,000 to 24,000.
    Tailed,
}

impl Sizes {
    fn of(self, random: &mut Random) -> usize {
        match self {
            Self::Spread => 100 + random.below(2_400),
            Self::Alike => 750 + random.below(100),
            Self::Tailed if random.below(10) == 0 => 4_000 + random.below(20_000),
            Self::Tailed => 100 + random.below(400),
        }
    }
}

fn record(sizes: Sizes, random: &mut Random) -> Arc<Record> {
    let value = vec![b'x'; sizes.of(random)];
    let entries = Entries::from_sorted([("n", &value[..])].into_iter()).expect("one key");
    let lifetime =
        Lifetime::new(Duration::from_secs(1 + random.number() % 20), Duration::from_secs(60)).expect("seconds");
    Arc::new(Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), lifetime).with_entries(entries))
}

async fn work(store: MemoryStore, sizes: Sizes, stop: Arc<AtomicBool>, calls: Arc<AtomicU64>, mut random: Random) {
    let mut ids: Vec<SessionId> = (0..20_000).map(|_| fresh_id()).collect();
    let mut count = 0u64;
    while !stop.load(Ordering::Acquire) {
        let at = random.below(ids.len());
        let id = ids[at];
        match random.below(10) {
            0..4 => {
                let mut made = record(sizes, &mut random);
                if random.below(4) == 0 {
                    let name = format!("owner {}", random.below(3_000));
                    let usage = Usage::keep_for(SystemTime::now(), Duration::from_secs(60));
                    let epoch = store.ensure_epoch(&name, usage).await.expect("open");
                    made = Arc::new((*made).clone().with_owner(Some(Owner::new(name, epoch).expect("a name"))));
                }
                ids[at] = fresh_id();
                let created = store.create(&ids[at], &made, Usage::at(&made, SystemTime::now())).await.expect("open");
                assert!(matches!(created, Create::Created(_)));
            }
            4..8 => {
                if let Some(stored) = store.load(&id).await.expect("open") {
                    let made = Arc::new(
                        record(sizes, &mut random).as_ref().clone().with_owner(stored.record.owner().cloned()),
                    );
                    let usage = Usage::at(&made, SystemTime::now());
                    if random.below(2) == 0 {
                        store.update(&id, &made, &stored.version, usage).await.expect("open");
                    } else if random.below(8) == 0 {
                        let to = fresh_id();
                        let tombstone = Arc::new(Record::plain_tombstone(stored.record.check(), usage.used_at));
                        let renamed =
                            store.rename(&id, &stored.version, &tombstone, &to, &made, usage).await.expect("open");
                        if matches!(renamed, Rename::Renamed(_)) {
                            ids[at] = to;
                        }
                    }
                }
            }
            8 => {
                let now = SystemTime::now();
                store.touch(&id, Usage::keep_for(now, Duration::from_secs(10))).await.expect("open");
            }
            _ => drop(store.remove(&id).await.expect("open")),
        }
        count += 1;
        if count.is_multiple_of(64) {
            calls.fetch_add(64, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    }
}
