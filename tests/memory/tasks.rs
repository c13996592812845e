//! The store's tasks: their start, their work, their end.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use session_layer::{MemoryStore, SessionStore, store::Usage};
use tokio::runtime::Handle;

use super::support::{MINUTE, clock, create, id, record, with_snapshots};

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn settled(tasks: usize) {
    for _ in 0..100 {
        if alive() == tasks {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} tasks live, not {tasks}", alive());
}

#[tokio::test(start_paused = true)]
async fn expired_sessions_are_swept_at_the_interval() {
    let clock = clock();
    let store = MemoryStore::builder().sweep_interval(MINUTE).clock(clock.clone()).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(store.statistics().present, 1);
    tokio::time::sleep(MINUTE + Duration::from_secs(1)).await;
    let statistics = store.statistics();
    assert_eq!((statistics.present, statistics.expired, statistics.bytes), (0, 1, 0));
}

#[tokio::test]
async fn tasks_start_at_the_first_use_and_end_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    for close in [true, false] {
        let store = with_snapshots(&folder.path().join("sessions"), &clock).open().unwrap();
        assert_eq!(alive(), 0);
        store.load(&id("a")).await.unwrap();
        store.load(&id("a")).await.unwrap();
        assert_eq!(alive(), 2, "one sweeps, one writes snapshots");
        let clone = store.clone();
        drop(store);
        settled(2).await;
        if close {
            clone.close().await.unwrap();
            clone.close().await.unwrap();
            assert!(clone.load(&id("a")).await.is_err());
        }
        drop(clone);
        settled(0).await;
    }
}

/// Outside a runtime everything works except the tasks. They end with their runtime, and the next one gets new ones.
#[test]
fn a_store_outlives_its_runtimes() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let session = record(&clock, None);
    {
        let usage = Usage::at(&session, clock.now());
        let id = session_id();
        let mut create = pin!(store.create(&id, &session, usage));
        let outcome = create.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(outcome, Poll::Ready(Ok(_))));
    }
    for flavour in ["current", "multi", "current"] {
        let runtime = match flavour {
            "current" => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            _ => tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        };
        runtime.block_on(async {
            assert!(store.load(&session_id()).await.unwrap().is_some());
            assert_eq!(alive(), 1);
        });
    }
}

fn session_id() -> session_layer::SessionId {
    id("a")
}

/// If a snapshot fails, the last good one stays and the next interval tries again.
#[tokio::test(start_paused = true)]
async fn snapshots_are_written_at_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).snapshot_interval(MINUTE).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    assert!(!path.exists());
    // Time is paused, so it advances once all tasks wait for the timer or for the writing thread.
    let until_written = async |path: &std::path::Path| {
        while !path.exists() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::thread::yield_now();
        }
    };
    until_written(&path).await;
    // A directory in place of the temporary file makes the snapshot fail.
    let blocked = folder.path().join("sessions.tmp");
    while std::fs::create_dir(&blocked).is_err() {
        tokio::task::yield_now().await;
    }
    std::fs::write(blocked.join("in the way"), "x").unwrap();
    tokio::time::sleep(5 * MINUTE).await;
    assert!(path.exists(), "the last good one stays");
    assert!(store.flush().await.is_err());
    std::fs::remove_dir_all(&blocked).unwrap();
    std::fs::remove_file(&path).unwrap();
    until_written(&path).await;
}
