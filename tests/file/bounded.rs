//! Every call is answered within its caller's time limit, whatever hangs, and the store outlives the runtime that
//! opened it.

use std::{
    fs,
    path::Path,
    sync::mpsc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use session_layer::{
    Clock, Durability, FileStore, SessionStore,
    store::{FileStoreError, StoreErrorKind, Usage},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    child::{self, SOON, say},
    support::*,
};

/// Far longer than any of these tests needs.
const SAFETY: Duration = Duration::from_secs(60);

/// How long strace delays a call: many times the limit.
const HANGS: Duration = Duration::from_secs(8);

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn impatient(dir: &Path) -> FileStore {
    let store = FileStore::builder(dir).clock(Clock::manual(start())).lock_deadline(SOON).sweep_interval(None);
    store.durability(Durability::None).open().await.unwrap()
}

/// If all blocking threads of a runtime are stuck, its calls end in time, and a call that was answered `Timeout` has no
/// effect.
#[test]
fn stuck_threads_delay_nobody_beyond_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let store = impatient(dir.path()).await;
        let version = create(&store, &id(1, 1), 1).await;
        let (release, stuck) = mpsc::channel::<()>();
        let thread = tokio::task::spawn_blocking(move || stuck.recv());

        let (key, new) = (id(1, 1), record(2));
        let (load, update) = tokio::join!(store.load(&key), store.update(&key, &new, &version, usage()));
        assert_eq!(load.unwrap_err().kind(), StoreErrorKind::Timeout);
        assert_eq!(update.unwrap_err().kind(), StoreErrorKind::Timeout);
        assert_eq!(FileStore::open(dir.path()).await.unwrap_err().kind(), StoreErrorKind::Timeout);

        // Another runtime has its own threads.
        let other = store.clone();
        let joined = std::thread::spawn(move || one_thread().block_on(async move { other.load(&id(1, 1)).await }));
        assert_eq!(number(&joined.join().unwrap().unwrap().unwrap()), 1);

        drop(release);
        thread.await.unwrap().unwrap_err();
        let stored = store.load(&id(1, 1)).await.unwrap().unwrap();
        assert_eq!(
            (number(&stored), stored.version),
            (1, version),
            "the update was answered Timeout: it never happens"
        );
    });
    assert!(begun.elapsed() < SAFETY);
}

/// Tests what a hung disk does to the calls of a child process. strace delays one system call for many times the limit,
/// and the child reports the answers that came before the delay was over.
fn hung(what: &str, path: &str, call: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let (path, inject) = (root.join(path), format!("inject={call}:delay_enter={}:when=1", HANGS.as_micros()));
    let trace = format!("trace={call}");
    let prefix = ["strace", "-f", "-o", "/dev/null", "-P", path.to_str().unwrap(), "-e", &trace, "-e", &inject];
    let begun = Instant::now();
    let said = child::run(child::prefixed(&prefix, &std::env::current_exe().unwrap(), "hung", &root, what));
    assert!(begun.elapsed() < SAFETY, "{:?}", begun.elapsed());
    said
}

#[test]
fn a_hung_disk_delays_nobody_beyond_the_limit() {
    let file = format!("01/{}", id(1, 1));
    assert_eq!(hung("load", &file, "openat"), ["load: Timeout", "load of another: Ok", "in time: true"]);
}

#[test]
fn a_write_that_hangs_before_its_change_never_happens() {
    assert_eq!(
        hung("lock", "01/lock", "flock"),
        ["update: Timeout", "load: 1", "update of another: Ok", "in time: true"]
    );
}

#[test]
fn a_write_that_hangs_in_its_change_is_unknown() {
    assert_eq!(
        hung("sync", "01/tmp", "fsync"),
        ["update: OutcomeUnknown", "load: 1", "update of another: Ok", "in time: true"]
    );
}

/// The child. It exits without waiting for the thread that hangs.
pub(crate) async fn play(dir: &Path, what: &str) {
    let usage = Usage::keep_for(start(), HOUR);
    let setup = dir.join("setup");
    fs::create_dir(&setup).unwrap();
    let store = impatient(&setup).await;
    let version = create(&store, &id(1, 1), 1).await;
    create(&store, &id(1, 2), 1).await;
    let other = create(&store, &id(2, 1), 1).await;
    for shard in ["01", "02", "owners"] {
        fs::rename(setup.join(shard), dir.join(shard)).unwrap();
    }
    let builder = FileStore::builder(dir).clock(Clock::manual(start())).lock_deadline(SOON).sweep_interval(None);
    let store = builder.durability(Durability::Data).open().await.unwrap();
    let tell = |what: &str, kind: Option<StoreErrorKind>| match kind {
        Some(kind) => say(format!("{what}: {kind:?}")),
        None => say(format!("{what}: Ok")),
    };
    let begun = Instant::now();
    if what == "load" {
        tell("load", store.load(&id(1, 1)).await.err().map(|error| error.kind()));
        tell("load of another", store.load(&id(1, 2)).await.err().map(|error| error.kind()));
    } else {
        let update = store.update(&id(1, 1), &record(2), &version, usage).await;
        tell("update", update.err().map(|error| error.kind()));
        say(format!("load: {}", number(&store.load(&id(1, 1)).await.unwrap().unwrap())));
        let update = store.update(&id(2, 1), &record(2), &other, usage).await;
        tell("update of another", update.err().map(|error| error.kind()));
    }
    say(format!("in time: {}", begun.elapsed() < HANGS));
    std::process::exit(0);
}

/// If the runtime that opened the store is gone, other runtimes continue, and so does the sweeper.
#[test]
fn the_store_survives_the_runtime_that_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(start());
    let first = one_thread();
    let builder = FileStore::builder(dir.path()).clock(clock.clone()).sweep_interval(Some(HOUR));
    let store = first.block_on(builder.open()).unwrap();
    first.block_on(create(&store, &id(1, 1), 1));
    drop(first);

    for number in 2..4 {
        let next = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        next.block_on(async {
            clock.set(start());
            create(&store, &id(1, number), 1).await;
            clock.advance(HOUR);
            while path_of(&store, &id(1, number)).exists() {
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
        });
    }
    one_thread().block_on(store.close()).unwrap();
}

/// The runtime is busy, or no longer driven.
#[test]
fn a_runtime_that_stands_still_delays_only_its_own_calls() {
    let dir = tempfile::tempdir().unwrap();
    let (still, other) = (one_thread(), one_thread());
    let builder = FileStore::builder(dir.path()).clock(Clock::manual(start())).blocking_calls(2).sweep_interval(None);
    let store = still.block_on(builder.open()).unwrap();
    let version = still.block_on(create(&store, &id(1, 1), 1));
    // Another process has the lock, so all of these wait.
    let lock = fs::File::options().write(true).open(dir.path().join("01/lock")).unwrap();
    lock.try_lock().unwrap();
    let mut waiting: Vec<_> =
        (0..40).map(|_| Box::pin(async { store.update(&id(1, 1), &record(2), &version, usage()).await })).collect();
    still.block_on(async {
        for _ in 0..20 {
            for future in &mut waiting {
                assert!(matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    lock.unlock().unwrap();
    other.block_on(async {
        for round in 0..5 {
            create(&store, &id(1, 10 + round), 1).await;
            assert!(store.load(&id(1, 1)).await.unwrap().is_some());
        }
    });
    drop(waiting);
}

/// Without a runtime there is no thread to run the call on: an error, not a panic.
#[test]
fn outside_of_a_runtime_a_call_is_an_error() {
    fn ready<T>(future: impl Future<Output = T>) -> T {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits, but nobody would wake it"),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let opened: Result<FileStore, FileStoreError> = ready(FileStore::open(dir.path()));
    let store = opened.unwrap();
    let error = ready(store.load(&id(1, 1))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(one_thread().block_on(store.load(&id(1, 1))).unwrap().is_none(), "and inside of one it works");
}
