//! How long a load waits while snapshots of many sessions are written, and how long it waits without.
//!
//! ```sh
//! cargo run --release -p engines --bin pauses -- 1000000
//! ```
//!
//! The argument is the number of sessions (1,000,000 by default). One thread loads without a pause and notes the
//! longest loads: by the clock, and without the time in which the thread could run but the machine ran others (from
//! `/proc/thread-self/schedstat`, Linux only).
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use engines::{Random, fresh_id, now, reference};
use session_layer::{MemoryStore, SessionId, SessionStore, Usage};

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
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
    watch("no snapshot", &store, &ids, async || tokio::time::sleep(Duration::from_secs(5)).await).await;
    for number in 1..=3 {
        let name = format!("snapshot {number}");
        watch(&name, &store, &ids, async || store.flush().await.expect("the disk has room")).await;
    }
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

/// Loads on a thread of its own while something else is done.
async fn watch(name: &str, store: &MemoryStore, ids: &Arc<[SessionId]>, what: impl AsyncFnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let loader = std::thread::spawn({
        let (store, ids, stop) = (store.clone(), Arc::clone(ids), Arc::clone(&stop));
        move || {
            let (mut random, mut times) = (Random(7), Vec::with_capacity(1 << 24));
            let mut own = Vec::with_capacity(1 << 24);
            let queue = File::open("/proc/thread-self/schedstat").expect("Linux");
            let mut queued = in_queue(&queue);
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::hint::black_box(now(store.load(&ids[random.below(ids.len())])).expect("open"));
                let took = began.elapsed().as_nanos() as u64;
                let before = std::mem::replace(&mut queued, in_queue(&queue));
                times.push(took);
                own.push(took.saturating_sub(queued - before));
            }
            times.sort_unstable();
            own.sort_unstable();
            (times, own)
        }
    });
    let began = Instant::now();
    what().await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (times, own) = loader.join().expect("no panics");
    let count = times.len();
    println!(
        "pauses: {name}: {took:.1?}, {count} loads; by the clock {}; without the machine's {}",
        show(&times),
        show(&own)
    );
}

fn show(times: &[u64]) -> String {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
    format!(
        "median {:.2} µs, 99.9 % {:.1} µs, longest {:.0} µs, {} over 5 ms",
        at(0.5),
        at(0.999),
        at(1.0),
        times.iter().filter(|&&time| time > 5_000_000).count()
    )
}

/// For how many nanoseconds this thread could have run and did not.
fn in_queue(schedstat: &File) -> u64 {
    let mut text = [0; 96];
    let length = schedstat.read_at(&mut text, 0).expect("Linux");
    let text = std::str::from_utf8(&text[..length]).expect("numbers");
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("numbers")
}
