//! Compares the file store with the plain file operations that it consists of.
//!
//! ```text
//! cargo run --release -p bench-file [-- DIR [SESSIONS ...]]
//! ```
//!
//! prints, for 1,000 and 100,000 sessions (or as given) in a temporary directory in `DIR`:
//!
//! - a load, and `tokio::fs::read` of the same file;
//! - an update with durability none, and writing a temporary file and renaming it over another one of the same size: in
//!   one blocking call, and as two calls of `tokio::fs`;
//! - a list of one owner's sessions;
//! - a sweep that finds nothing, and a recursive directory listing: names with metadata, as `ls -lR`, and names alone.
//!
//! The measurements are interleaved, call by call, in one run. The figures are medians over 15 rounds. The files are in
//! the page cache.
#![allow(clippy::print_stdout, reason = "a command prints its result")]

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use session_layer::{
    Durability, FileStore, Lifetime, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Epoch, Owner, Record},
    store::{Listing, Owners, Update, Usage},
};

const ROUNDS: usize = 15;
const CALLS: usize = 2_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The durations of the calls, by what was measured.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    fn add(&mut self, what: &'static str, begun: Instant) {
        self.0.entry(what).or_default().push(begun.elapsed());
    }

    fn median(&self, what: &str) -> Duration {
        let mut times = self.0.get(what).cloned().unwrap_or_default();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// A record of about 0.7 KB, like the reference session of the budgets.
fn record(number: u64) -> Result<Arc<Record>> {
    let counter = number.to_string();
    let (cart, user) = (vec![b'c'; 400], vec![b'u'; 160]);
    let entries = [("cart", &cart[..]), ("csrf", &[b's'; 32][..]), ("n", counter.as_bytes()), ("user", &user[..])];
    // Every tenth session has an owner, and each owner has ten of them.
    let owner = number.is_multiple_of(10).then(|| Owner::new(format!("user-{}", number / 100), Epoch::from_u64(1)));
    let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
    Ok(Arc::new(record.with_owner(owner.transpose()?).with_entries(Entries::from_sorted(entries.into_iter())?)))
}

/// An id, spread as hashes are.
fn id(number: u64) -> SessionId {
    let mix = |seed: u64| {
        let mut x = (number ^ seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let bytes = (u128::from(mix(1)) << 64 | u128::from(mix(2))).to_be_bytes();
    SessionId::from_uuid(uuid::Uuid::new_v8(bytes))
}

fn path_of(store: &FileStore, id: &SessionId) -> PathBuf {
    let name = id.to_string();
    store.dir().join(&name[..2]).join(name)
}

/// Counts the files under a directory and, with metadata, their bytes.
fn listing(dir: &Path, with_metadata: bool) -> Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == "owners" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            let (more, larger) = listing(&entry.path(), with_metadata)?;
            (count, bytes) = (count + more, bytes + larger);
        } else {
            count += 1;
            if with_metadata {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok((count, bytes))
}

async fn fill(store: &FileStore, sessions: u64) -> Result<()> {
    let usage = Usage::keep_for(SystemTime::now(), Duration::from_secs(24 * 3_600));
    let mut tasks = Vec::new();
    for part in 0..16 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for number in (0..sessions).filter(|number| number % 16 == part) {
                let record = record(number).map_err(|error| error.to_string())?;
                store.create(&id(number), &record, usage).await.map_err(|error| format!("{error:?}"))?;
            }
            Ok::<(), String>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// A filled store, and what was measured on it.
struct Filled {
    _dir: tempfile::TempDir,
    store: FileStore,
    sessions: u64,
    times: Times,
}

impl Filled {
    async fn new(parent: &Path, sessions: u64) -> Result<Self> {
        let dir = tempfile::tempdir_in(parent)?;
        let store = FileStore::builder(dir.path().join("store")).durability(Durability::None).sweep_interval(None);
        let store = store.create().await?;
        fill(&store, sessions).await?;
        Ok(Self { _dir: dir, store, sessions, times: Times::default() })
    }

    async fn round(&mut self, round: u64) -> Result<()> {
        let Self { store, sessions, times, .. } = self;
        let sessions = *sessions;
        // Interleaved, call by call, each on different sessions.
        for call in 0..CALLS as u64 {
            let number = (round * 7_919 + call * 104_729) % sessions;
            let (id, path) = (id(number), path_of(store, &id(number)));
            let begun = Instant::now();
            if call % 2 == 0 {
                assert!(!tokio::fs::read(&path).await?.is_empty());
                times.add("tokio::fs::read", begun);
            } else {
                assert!(store.load(&id).await?.is_some());
                times.add("load", begun);
            }
        }
        let usage = Usage::keep_for(SystemTime::now(), Duration::from_secs(24 * 3_600));
        let mut overwritten = Vec::new();
        for call in 0..CALLS as u64 {
            let number = (round * 7_919 + call * 104_729 + 1) % sessions;
            let (id, path) = (id(number), path_of(store, &id(number)));
            let next = record(number)?;
            let held = store.load(&id).await?.ok_or("a session is gone")?;
            if call % 3 == 0 {
                let begun = Instant::now();
                let outcome = store.update(&id, &next, &held.version, usage).await?;
                times.add("update", begun);
                assert!(matches!(outcome, Update::Updated(_)));
                continue;
            }
            // The same bytes in the same directory, so that the same parts of the file system are cold or warm.
            let (bytes, temporary) = (fs::read(&path)?, path.with_file_name("plain-tmp"));
            overwritten.push((id, next));
            let begun = Instant::now();
            if call % 3 == 1 {
                tokio::task::spawn_blocking(move || {
                    fs::write(&temporary, &bytes)?;
                    fs::rename(&temporary, &path)
                })
                .await??;
                times.add("write and rename, one call", begun);
            } else {
                tokio::fs::write(&temporary, &bytes).await?;
                tokio::fs::rename(&temporary, &path).await?;
                times.add("write and rename, tokio::fs", begun);
            }
        }
        // The plain file doesn't have the times of a session's file.
        for (id, next) in overwritten {
            let held = store.load(&id).await?.ok_or("a session is gone")?;
            store.update(&id, &next, &held.version, usage).await?;
        }
        for call in 0..CALLS as u64 / 20 {
            let owner = format!("user-{}", (round * 7_919 + call * 104_729) % (sessions / 100).max(1));
            let begun = Instant::now();
            assert!(!store.list_owner(&owner).await?.is_empty());
            times.add("list_owner", begun);
        }

        let begun = Instant::now();
        let (files, bytes) = listing(store.dir(), true)?;
        times.add("recursive listing, metadata", begun);
        let begun = Instant::now();
        assert_eq!(listing(store.dir(), false)?, (files, 0));
        times.add("recursive listing, names", begun);
        let begun = Instant::now();
        let swept = store.sweep().await?;
        times.add("sweep", begun);
        assert_eq!((swept.deleted, swept.remaining), (0, sessions));
        assert!(bytes > 0);
        Ok(())
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut sizes: Vec<u64> = arguments.map(|size| size.parse()).collect::<std::result::Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1_000, 100_000];
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut stores = Vec::new();
    for sessions in sizes {
        stores.push(runtime.block_on(Filled::new(&parent, sessions))?);
    }
    // Interleaved, so that whatever else the machine does affects all of them.
    for round in 0..ROUNDS as u64 {
        for filled in &mut stores {
            runtime.block_on(filled.round(round))?;
        }
    }
    for Filled { sessions, times, .. } in &stores {
        println!("{sessions} sessions");
        for (what, base, budget) in [
            ("load", "tokio::fs::read", "1.3"),
            ("update", "write and rename, one call", "1.5"),
            ("update", "write and rename, tokio::fs", "1.5"),
            ("sweep", "recursive listing, metadata", "2"),
            ("sweep", "recursive listing, names", "-"),
        ] {
            let (ours, theirs) = (times.median(what), times.median(base));
            let ratio = ratio(ours, theirs);
            println!("  {what:8} {ours:>10.1?}   {base:28} {theirs:>10.1?}   ratio {ratio:.2} (budget {budget})");
        }
    }
    for Filled { sessions, times, .. } in &stores {
        println!("list_owner, ten sessions, among {sessions}: {:.1?}", times.median("list_owner"));
    }
    if let [small, .., large] = &stores[..] {
        println!("{} sessions against {}", large.sessions, small.sessions);
        for (what, budget) in [("load", "1.2"), ("update", "1.2"), ("tokio::fs::read", "-")] {
            let ratio = ratio(large.times.median(what), small.times.median(what));
            println!("  {what:28} ratio {ratio:.2} (budget {budget})");
        }
    }
    Ok(())
}
