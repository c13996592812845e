//! Several processes over one directory.

use std::{
    io::{BufRead, BufReader},
    process::Command,
    time::SystemTime,
};

use session_layer::{
    Clock, FileStore, SessionStore,
    store::{Acquire, Holder, Leases, StoreErrorKind, Usage},
};

use crate::{
    child::{self, SOON},
    support::*,
};

async fn real(dir: &std::path::Path) -> FileStore {
    FileStore::builder(dir).sweep_interval(None).open().await.unwrap()
}

async fn create_now(store: &FileStore, key: session_layer::SessionId) {
    let record = record_at(SystemTime::now(), 0);
    store.create(&key, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
}

/// Four processes with 100 increments each.
#[tokio::test]
async fn increments_of_four_processes_all_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    create_now(&store, id(1, 1)).await;
    let children: Vec<_> = (0..4).map(|_| child::command("increment", dir.path(), "100").spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(number(&store.load(&id(1, 1)).await.unwrap().unwrap()), 400);
}

/// A logout in one process is final in the others, also for writes under way.
#[tokio::test]
async fn a_logout_is_final_in_other_processes() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    create_now(&store, id(1, 1)).await;
    let mut late = child::command("late", dir.path(), "").spawn().unwrap();
    let mut lines = BufReader::new(late.stdout.take().unwrap()).lines();
    child::wait_for(&mut lines, "loaded");
    assert!(store.remove(&id(1, 1)).await.unwrap());
    child::go_on(&mut late);
    let said: Vec<_> = lines.map(Result::unwrap).filter_map(|line| child::said(&line)).collect();
    assert!(late.wait().unwrap().success());
    assert_eq!(said, ["Gone", "Gone", "Gone", "false"]);
    assert!(store.load(&id(1, 1)).await.unwrap().is_none());
    assert!(store.load(&id(2, 1)).await.unwrap().is_none());
}

/// A stopped process that holds a lock delays one shard's writers, each up to its deadline. When the process dies, its
/// lock is free.
#[tokio::test]
async fn a_stopped_process_blocks_one_shard_and_a_dead_one_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    create_now(&store, id(1, 1)).await;
    let mut holder = child::command("hold", dir.path(), "01").spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    child::wait_for(&mut lines, "held");
    let stopped = Command::new("kill").args(["-STOP", &holder.id().to_string()]).status().unwrap();
    assert!(stopped.success());

    let held = store.load(&id(1, 1)).await.unwrap().unwrap();
    let impatient = FileStore::builder(dir.path()).lock_deadline(SOON).sweep_interval(None).open().await.unwrap();
    let error = impatient.touch(&id(1, 1), held.usage()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error:?}");
    create_now(&store, id(2, 1)).await;

    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(store.remove(&id(1, 1)).await.unwrap());
}

/// The lease outlives its process and ends at its time.
#[tokio::test]
async fn a_lease_of_a_dead_process_ends_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    let record = record_at(SystemTime::now(), 0);
    let days = Usage::keep_for(SystemTime::now(), DAY * 2);
    let record = record.as_ref().clone().with_lifetime(session_layer::Lifetime::new(DAY * 2, DAY * 2).unwrap());
    store.create(&id(1, 1), &std::sync::Arc::new(record), days).await.unwrap();
    let mut holder = child::command("lease", dir.path(), "").spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    child::wait_for(&mut lines, "leased");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let other = Holder::from_u128(2);
    assert_eq!(store.acquire(&id(1, 1), other, HOUR).await.unwrap(), Acquire::Held);
    let later = open(dir.path(), &Clock::manual(SystemTime::now() + DAY)).await;
    assert!(matches!(later.acquire(&id(1, 1), other, HOUR).await.unwrap(), Acquire::Acquired { .. }));
}
