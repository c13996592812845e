//! The file store against the plain file operations under it.
//!
//! ```text
//! cargo run --release -p bench-file [-- DIR [SESSIONS ...]]
//! ```
//!
//! prints, for 1,000 and 100,000 sessions (or as given) in a temporary directory in `DIR`:
//!
//! - a load, and `tokio::fs::read` of the same file;
//! - an update with durability none, and writing a temporary file and renaming it over another of the same bytes: in one
//!   blocking call, and as two calls of `tokio::fs`;
//! - the sessions of one owner;
//! - a sweep that finds nothing, and a recursive directory listing: names with metadata, as `ls -lR`, and names alone.
//!
//! Each pair is measured in turns in one run; the figures are medians of 15 rounds. The files are in the page cache.
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
    Check, Durability, Entries, Epoch, FileStore, Lifetime, Owner, Record, SessionId, SessionStore, Update, Usage,
    Version,
};

const ROUNDS: usize = 15;
const CALLS: usize = 2_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Times by what was measured, one for each round.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    fn add(&mut self, what: &'static str, begun: Instant, calls: usize) {
        self.0.entry(what).or_default().push(begun.elapsed() / u32::try_from(calls).unwrap_or(1));
    }

    fn median(&self, what: &str) -> Duration {
        let mut times = self.0.get(what).cloned().unwrap_or_default();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// About 0.7 KB, as the reference session of the budgets.
fn record(number: u64) -> Result<Arc<Record>> {
    let counter = number.to_string();
    let (cart, user) = (vec![b'c'; 400], vec![b'u'; 160]);
    let entries = [("cart", &cart[..]), ("csrf", &[b's'; 32][..]), ("n", counter.as_bytes()), ("user", &user[..])];
    // Every tenth session has an owner, and each owner ten of them.
    let owner = number.is_multiple_of(10).then(|| Owner::new(format!("user-{}", number / 100), Epoch::from_u64(1)));
    let record = Record::session(Check::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
    Ok(Arc::new(record.with_owner(owner.transpose()?).with_entries(Entries::from_sorted(entries.into_iter())?)))
}

fn owned_by(record: &Record, number: u64) -> Result<Arc<Record>> {
    let owner = Owner::new(format!("user-{}", number / 100), Epoch::from_u64(1))?;
    Ok(Arc::new(record.clone().with_owner(Some(owner))))
}

/// Spread as hashes are.
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

/// How many files are under a directory, and with metadata how many bytes they have.
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

/// A filled store with what was measured on it.
struct Filled {
    _dir: tempfile::TempDir,
    store: FileStore,
    plain: PathBuf,
    sessions: u64,
    versions: BTreeMap<u64, Version>,
    times: Times,
}

impl Filled {
    async fn new(parent: &Path, sessions: u64) -> Result<Self> {
        let dir = tempfile::tempdir_in(parent)?;
        let store = FileStore::builder(dir.path().join("store")).durability(Durability::None).sweep_every(None);
        let store = store.create().await?;
        fill(&store, sessions).await?;
        let plain = dir.path().join("plain");
        fs::create_dir(&plain)?;
        Ok(Self { _dir: dir, store, plain, sessions, versions: BTreeMap::new(), times: Times::default() })
    }

    async fn round(&mut self, round: u64) -> Result<()> {
        let Self { store, plain, sessions, versions, times, .. } = self;
        let sessions = *sessions;
        let chosen: Vec<u64> = (0..CALLS as u64).map(|call| (round * 7_919 + call * 104_729) % sessions).collect();
        let ids: Vec<SessionId> = chosen.iter().map(|&number| id(number)).collect();
        let paths: Vec<PathBuf> = ids.iter().map(|id| path_of(store, id)).collect();

        let begun = Instant::now();
        for path in &paths {
            assert!(!tokio::fs::read(path).await?.is_empty());
        }
        times.add("tokio::fs::read", begun, CALLS);
        let begun = Instant::now();
        for (id, number) in ids.iter().zip(&chosen) {
            let stored = store.load(id).await?.ok_or("a session is gone")?;
            versions.insert(*number, stored.version);
        }
        times.add("load", begun, CALLS);

        let bytes = fs::read(paths.first().ok_or("no session")?)?;
        let begun = Instant::now();
        for call in 0..CALLS {
            let (bytes, plain) = (bytes.clone(), plain.clone());
            tokio::task::spawn_blocking(move || {
                fs::write(plain.join("tmp"), &bytes)?;
                fs::rename(plain.join("tmp"), plain.join(format!("file-{}", call % 100)))
            })
            .await??;
        }
        times.add("write and rename, one call", begun, CALLS);
        let begun = Instant::now();
        for call in 0..CALLS {
            tokio::fs::write(plain.join("tmp"), &bytes).await?;
            tokio::fs::rename(plain.join("tmp"), plain.join(format!("file-{}", call % 100))).await?;
        }
        times.add("write and rename, tokio::fs", begun, CALLS);
        let begun = Instant::now();
        for call in 0..CALLS as u64 / 20 {
            let owner = format!("user-{}", (round * 7_919 + call * 104_729) % (sessions / 100).max(1));
            assert!(!store.list_owner(&owner).await?.is_empty());
        }
        times.add("list_owner", begun, CALLS / 20);

        let (owned, free) = (record(0)?, record(1)?);
        let usage = Usage::keep_for(SystemTime::now(), Duration::from_secs(24 * 3_600));
        let begun = Instant::now();
        for (id, number) in ids.iter().zip(&chosen) {
            let expected = versions.get(number).ok_or("no version")?;
            let next = if number.is_multiple_of(10) { owned_by(&owned, *number)? } else { Arc::clone(&free) };
            match store.update(id, &next, expected, usage).await? {
                Update::Updated(version) => versions.insert(*number, version),
                other => return Err(format!("{other:?}").into()),
            };
        }
        times.add("update", begun, CALLS);

        let begun = Instant::now();
        let (files, bytes) = listing(store.dir(), true)?;
        times.add("recursive listing, metadata", begun, 1);
        let begun = Instant::now();
        assert_eq!(listing(store.dir(), false)?, (files, 0));
        times.add("recursive listing, names", begun, 1);
        let begun = Instant::now();
        let swept = store.sweep().await?;
        times.add("sweep", begun, 1);
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
    // In turns, so that whatever else the machine does falls on all of them.
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
