//! Measures how long loads wait while snapshots of many sessions are written, and how long they wait while another
//! thread does the same work without the store.
//!
//! ```sh
//! cargo run --release -p engines --bin pauses -- 1000000 5
//! ```
//!
//! The arguments are the number of sessions (1,000,000 by default) and of rounds (5). In each round a snapshot is
//! written. Then a thread that doesn't use the store copies, sums, writes and syncs the same number of bytes. Meanwhile
//! another thread loads continuously and notes how long each load took: by the clock, and without the time in which the
//! thread could have run but the machine ran others (from `/proc/thread-self/schedstat`, Linux only). Waits that only
//! the first work causes are the store's; those that both cause are the machine's.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::{
    fs::File,
    hash::{DefaultHasher, Hasher},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use engines::{Random, fresh_id, now, reference};
use session_layer::{MemoryStore, SessionId, SessionStore, store::Usage};

/// The shortest wait that counts as a pause, in nanoseconds.
const PAUSE: u64 = 5_000_000;

/// The size of a snapshot's blocks.
const BLOCK_BYTES: usize = 256 * 1_024;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let argument = |at: usize| std::env::args().nth(at).and_then(|number| number.parse::<u64>().ok());
    let (count, rounds) = (argument(1).unwrap_or(1_000_000), argument(2).unwrap_or(5));
    let folder = std::env::temp_dir().join(format!("session-layer-pauses-{}", std::process::id()));
    let path = folder.join("sessions");
    let open = || {
        let builder = MemoryStore::builder().capacity(count + count / 8).bytes(4 << 30).snapshot_path(&path);
        builder.snapshot_interval(Duration::from_secs(86_400)).open().expect("a new path")
    };
    let store = open();
    let ids: Arc<[SessionId]> = (0..count).map(|_| fresh_id()).collect();
    let began = Instant::now();
    for (number, id) in ids.iter().enumerate() {
        let record = reference(number as u64);
        now(store.create(id, &record, Usage::at(&record, SystemTime::now()))).expect("open");
    }
    println!("pauses: {count} sessions created in {:.1?}", began.elapsed());
    let (mut with, mut without) = (Waits::default(), Waits::default());
    for _ in 0..rounds {
        watch(&mut with, &store, &ids, async || store.flush().await.expect("the disk has room")).await;
        let bytes = std::fs::metadata(&path).expect("a snapshot").len();
        let other = folder.join("other");
        let work = async || {
            tokio::task::spawn_blocking(move || copy(&other, bytes))
                .await
                .expect("no panics")
                .expect("the disk has room");
        };
        watch(&mut without, &store, &ids, work).await;
    }
    with.show("snapshots");
    without.show("the same work without the store");
    let bytes = std::fs::metadata(&path).expect("a snapshot").len();
    let began = Instant::now();
    store.close().await.expect("the disk has room");
    println!("pauses: a snapshot has {} bytes a session; closed in {:.1?}", bytes / count, began.elapsed());
    drop(store);
    let began = Instant::now();
    let store = open();
    println!("pauses: {} sessions restored in {:.1?}", store.restored().sessions, began.elapsed());
    assert_eq!(store.restored().sessions, count);
    store.close().await.expect("the disk has room");
    std::fs::remove_dir_all(folder).expect("ours");
}

/// Costs the machine as much as a snapshot: reads and copies memory, computes sums, writes a file of this size, and
/// syncs it.
fn copy(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let from: Vec<u8> = (0..BLOCK_BYTES * 16).map(|at| (at % 251) as u8).collect();
    for block in 0..bytes.div_ceil(BLOCK_BYTES as u64) {
        let at = (block as usize % 16) * BLOCK_BYTES;
        let copied = from[at..at + BLOCK_BYTES].to_vec();
        let mut sum = DefaultHasher::new();
        sum.write(&copied);
        std::hint::black_box(sum.finish());
        file.write_all(&copied)?;
        std::thread::yield_now();
    }
    file.sync_all()
}

/// How long loads took, in nanoseconds.
#[derive(Debug, Default)]
struct Waits {
    over: Duration,
    by_the_clock: Vec<u64>,
    without_the_machine: Vec<u64>,
}

/// Loads on a separate thread while `what` runs.
async fn watch(waits: &mut Waits, store: &MemoryStore, ids: &Arc<[SessionId]>, what: impl AsyncFnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let loader = std::thread::spawn({
        let (store, ids, stop) = (store.clone(), Arc::clone(ids), Arc::clone(&stop));
        let mut waits = std::mem::take(waits);
        move || {
            let mut random = Random(7);
            let queue = File::open("/proc/thread-self/schedstat").expect("Linux");
            let mut queued = in_queue(&queue);
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::hint::black_box(now(store.load(&ids[random.below(ids.len())])).expect("open"));
                let took = began.elapsed().as_nanos() as u64;
                let before = std::mem::replace(&mut queued, in_queue(&queue));
                waits.by_the_clock.push(took);
                waits.without_the_machine.push(took.saturating_sub(queued - before));
            }
            waits
        }
    });
    let began = Instant::now();
    what().await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    *waits = loader.join().expect("no panics");
    waits.over += took;
}

impl Waits {
    fn show(&mut self, what: &str) {
        println!("pauses: {what}: {} loads in {:.1?}", self.by_the_clock.len(), self.over);
        show("by the clock", &mut self.by_the_clock);
        show("without the machine's", &mut self.without_the_machine);
    }
}

fn show(what: &str, times: &mut [u64]) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
    println!(
        "pauses:   {what}: median {:.2} µs, 99.9 % {:.1} µs, 99.999 % {:.0} µs, longest {:.0} µs, {} over 5 ms",
        at(0.5),
        at(0.999),
        at(0.99999),
        at(1.0),
        times.iter().filter(|&&time| time > PAUSE).count()
    );
}

/// Returns for how many nanoseconds this thread could have run and did not.
fn in_queue(schedstat: &File) -> u64 {
    let mut text = [0; 96];
    let length = schedstat.read_at(&mut text, 0).expect("Linux");
    let text = std::str::from_utf8(&text[..length]).expect("numbers");
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("numbers")
}
