//! Locks of the shards, and leases of the sessions.

use std::{fs, sync::Arc, time::Duration};

use session_layer::{
    FileStore, SessionStore,
    store::{Acquire, Holder, Leases, Listing, SessionStatus, StoreErrorKind, Touch, Update, Usage},
};

use crate::support::*;

/// Takes a shard's lock as another process would, on its own file handle.
fn hold_shard(store: &FileStore, shard: u8) -> fs::File {
    let dir = store.dir().join(format!("{shard:02x}"));
    let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(dir.join("lock")).unwrap();
    file.try_lock().unwrap();
    file
}

/// A process is stopped while it holds a lock. Its shard's writers time out, and nothing else waits.
#[tokio::test]
async fn a_held_lock_blocks_only_its_shards_writers() {
    let fixture = Fixture::new().await;
    fixture.create(&id(1, 1), 1).await;
    let store = FileStore::builder(fixture.dir.path())
        .clock(fixture.clock.clone())
        .blocking_calls(1)
        .lock_deadline(Duration::from_secs(1))
        .sweep_interval(None)
        .open()
        .await
        .unwrap();
    let version = store.load(&id(1, 1)).await.unwrap().unwrap().version;
    let held = hold_shard(&store, 1);
    // A living process's temporary file stays.
    let tmp = fixture.dir.path().join("01/tmp");
    fs::write(&tmp, "half").unwrap();

    let late: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.update(&id(1, 1), &record(2), &version, usage()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for number in 0..20 {
        create(&store, &id(2, number), number).await;
        assert_eq!(store.load(&id(1, 1)).await.unwrap().unwrap().version, version, "readers take no lock");
    }
    let mut named = false;
    for task in late {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout);
        named |= format!("{error:?}").contains("01/lock");
    }
    // On a machine that stands still for a moment, the caller's own time limit comes first.
    for _ in 0..10 {
        if !named {
            let error = store.update(&id(1, 1), &record(2), &version, usage()).await.unwrap_err();
            named = format!("{error:?}").contains("01/lock");
        }
    }
    assert!(named, "the one whose turn it was tells which lock it waited for");
    let expired = id(3, 1);
    store.create(&expired, &record(1), Usage { used_at: start(), expires_at: start() }).await.unwrap();
    assert_eq!(store.sweep().await.unwrap_err().kind(), StoreErrorKind::Timeout);
    assert!(tmp.exists());
    assert!(!path_of(&store, &expired).exists(), "the other shards are swept all the same");

    held.unlock().unwrap();
    updated(store.update(&id(1, 1), &record(2), &version, usage()).await.unwrap());
    assert!(!tmp.exists());
}

/// Renames in both directions at once take their locks in one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_renames_do_not_block_each_other() {
    let fixture = Fixture::new().await;
    let twin = fixture.twin().await;
    let tasks: Vec<_> = (0..50_u64)
        .map(|number| {
            let store = if number % 2 == 0 { fixture.store.clone() } else { twin.clone() };
            tokio::spawn(async move {
                let (from, to) = if number % 4 < 2 { (1, 2) } else { (2, 1) };
                let version = create(&store, &id(from, number), number).await;
                store
                    .rename(
                        &id(from, number),
                        &version,
                        &tombstone(start()),
                        &id(to, 1_000 + number),
                        &record(number),
                        usage(),
                    )
                    .await
            })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap().unwrap(), session_layer::store::Rename::Renamed(_)));
    }
    assert_eq!(fixture.store.count().await.unwrap(), 50);
}

/// A lease holds in another process, changes the version, ends by time, and delays no removal.
#[tokio::test]
async fn leases_hold_across_stores() {
    let fixture = Fixture::new().await;
    let (id, twin) = (id(3, 1), fixture.twin().await);
    let (mine, theirs) = (Holder::from_u128(1), Holder::from_u128(2));
    let second = Duration::from_secs(1);
    assert_eq!(twin.acquire(&id, theirs, second).await.unwrap(), Acquire::Absent);
    let version = fixture.create(&id, 1).await;

    let until = start() + 30 * second;
    assert_eq!(fixture.store.acquire(&id, mine, 30 * second).await.unwrap(), Acquire::acquired(until));
    assert_eq!(twin.acquire(&id, theirs, second).await.unwrap(), Acquire::Held);
    assert!(!twin.release(&id, theirs).await.unwrap());
    let leased = twin.load(&id).await.unwrap().unwrap();
    assert_ne!(leased.version, version, "acquiring a lease changes the version");
    assert_eq!((leased.used_at, leased.expires_at), (start(), start() + HOUR));
    let metadata = twin.metadata(&id).await.unwrap().unwrap();
    assert_eq!((metadata.leased_until, metadata.status), (Some(until), SessionStatus::Leased));

    // An update by the holder keeps the lease; extending it keeps the version.
    let version = updated(fixture.store.update(&id, &record(2), &leased.version, usage()).await.unwrap());
    fixture.clock.advance(10 * second);
    let until = start() + 40 * second;
    assert_eq!(fixture.store.acquire(&id, mine, 30 * second).await.unwrap(), Acquire::acquired(until));
    assert_eq!(fixture.load(&id).await.unwrap().version, version);
    assert_eq!(twin.acquire(&id, theirs, second).await.unwrap(), Acquire::Held);

    // The lease has ended: the next holder's acquisition excludes the first holder.
    fixture.clock.set(until);
    assert_eq!(twin.acquire(&id, theirs, 30 * second).await.unwrap(), Acquire::acquired(until + 30 * second));
    assert_eq!(fixture.store.update(&id, &record(3), &version, usage()).await.unwrap(), Update::Conflict(None));
    assert!(!fixture.store.release(&id, mine).await.unwrap());
    assert_eq!(fixture.store.touch(&id, usage()).await.unwrap(), Touch::Touched);
    assert_eq!(fixture.store.acquire(&id, mine, second).await.unwrap(), Acquire::Held, "a touch keeps the lease");

    assert!(twin.release(&id, theirs).await.unwrap());
    assert!(!twin.release(&id, theirs).await.unwrap());
    assert!(matches!(fixture.store.acquire(&id, mine, second).await.unwrap(), Acquire::Acquired { .. }));
    assert!(twin.remove(&id).await.unwrap(), "removing waits for no lease");
    fixture.create(&id, 1).await;
    assert!(
        matches!(twin.acquire(&id, theirs, second).await.unwrap(), Acquire::Acquired { .. }),
        "it ended with its session"
    );
}

/// Giving a lease back wakes a waiter in this process at once; time is paused here.
#[tokio::test(start_paused = true)]
async fn unlock_wakes_the_waiter() {
    let fixture = Fixture::new().await;
    let id = id(4, 1);
    fixture.create(&id, 1).await;
    let holder = Holder::from_u128(1);
    fixture.store.acquire(&id, holder, HOUR).await.unwrap();
    let begun = tokio::time::Instant::now();
    fixture.store.released(&id, Duration::from_secs(10)).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(50), "other processes don't wake us: it asks again");

    let woken = Arc::new(tokio::sync::Notify::new());
    let (store, done) = (fixture.store.clone(), Arc::clone(&woken));
    let waiter = tokio::spawn(async move {
        let begun = tokio::time::Instant::now();
        let mut wait = std::pin::pin!(store.released(&id, Duration::from_secs(10)));
        std::future::poll_fn(|context| {
            assert!(wait.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        done.notify_one();
        wait.await;
        begun.elapsed()
    });
    woken.notified().await;
    assert!(fixture.store.release(&id, holder).await.unwrap());
    assert!(waiter.await.unwrap() < Duration::from_millis(50));
}
