//! SQLite files: their permissions, several processes on one file, and the state after a process is killed.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use session_layer::{
    Durability, SessionId, SessionStore, SqlStore,
    store::{Listing, StoreErrorKind, Update},
};

use crate::{
    support::*,
    worker::{increments_add_up_and_logouts_are_final, list, start},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_file_and_its_directory_are_for_their_user_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/sessions.db");
    let store = SqlStore::sqlite(&path).create().await.unwrap();
    let id = id();
    created(&store, &id, &record(b"1")).await;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the database, its log and the log's index: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await.unwrap();
    let store = SqlStore::sqlite(&path).open().await.unwrap();
    assert_eq!(value(&loaded(&store, &id).await), b"1");
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_database_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let error = SqlStore::sqlite(&path).open().await.unwrap_err();
    assert!(error.to_string().contains("sessions.db: it is not there; create it"), "{error}");
    assert!(!path.exists(), "nothing is made by looking");
    fs::write(&path, "this is a text, and a long one, that is no database of anybody".repeat(100)).unwrap();
    let error = SqlStore::sqlite(&path).create().await.unwrap_err();
    assert!(error.to_string().contains("file is not a database"), "{error}");
    let error = SqlStore::sqlite(dir.path()).open().await.unwrap_err();
    assert!(error.to_string().contains("it is no file"), "{error}");
}

/// The table is next to others of the application.
#[tokio::test]
async fn a_database_that_is_there_gets_the_table_when_it_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE users (name TEXT)").unwrap();
    let error = SqlStore::sqlite(&path).open().await.unwrap_err();
    assert!(error.to_string().starts_with("SQLite has no table \"sessions\"; create the table"), "{error}");
    SqlStore::sqlite(&path).migrate().await.unwrap();
    SqlStore::sqlite(&path).open().await.unwrap();
    let error = SqlStore::sqlite(&path).table("users").create().await.unwrap_err();
    // The table's index needs a column that is missing.
    assert!(error.to_string().contains("owner_id"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_are_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(dir.path().join("sessions.db")).create().await.unwrap();
    let before = store.statistics();
    let writes = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                created(&store, &id(), &record(b"1")).await;
            }
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    let after = store.statistics();
    assert_eq!(after.committed_writes - before.committed_writes, 640);
    assert!(after.commits - before.commits < 640, "{after:?}");
    assert_eq!(store.count().await.unwrap(), 640);
}

/// Another connection holds the write lock.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_a_timeout_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let limit = std::time::Duration::from_millis(300);
    let store = SqlStore::sqlite(&path).request_timeout(limit).create().await.unwrap();
    let (id, other) = (id(), id());
    let version = created(&store, &id, &record(b"1")).await;
    let blocking = rusqlite::Connection::open(&path).unwrap();
    blocking.execute_batch("BEGIN IMMEDIATE").unwrap();
    let next = record(b"2");
    let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
    assert!(matches!(error.kind(), StoreErrorKind::Timeout | StoreErrorKind::OutcomeUnknown), "{error:?}");
    assert_eq!(value(&loaded(&store, &id).await), b"1", "readers go on");
    blocking.execute_batch("ROLLBACK").unwrap();
    created(&store, &other, &record(b"3")).await;
    if error.kind() == StoreErrorKind::Timeout {
        assert_eq!(value(&loaded(&store, &id).await), b"1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_add_up_and_logouts_are_final() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/sessions.db?create=yes&durability=none", dir.path().display());
    increments_add_up_and_logouts_are_final(&url).await;
}

/// Kills a process a hundred times: acknowledged writes must persist.
async fn kills_take_back_nothing(durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let word = format!("{durability:?}").to_lowercase();
    let url = format!("sqlite:{}?create=yes&durability={word}", path.display());
    let store = open(&url).await;
    let ids: Vec<SessionId> = (0..3).map(|_| id()).collect();
    let mut acknowledged = vec![0; ids.len()];
    for id in &ids {
        created(&store, id, &numbered(0)).await;
    }
    for round in 0..100 {
        let mut child = start("write", &url, &list(&ids));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut note = |line: String| {
            let Some((id, n)) = line.split_once("wrote ").and_then(|(_, rest)| rest.split_once(' ')) else { return };
            let at = ids.iter().position(|own| own.to_string() == id).expect("one of ours");
            acknowledged[at] = n.parse::<u64>().expect("a number");
        };
        for line in lines.by_ref().take(4 + usize::try_from(random() % 30).unwrap()) {
            note(line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The lines that it wrote before its end are still in the pipe; the last one may be cut off.
        let mut rest: Vec<_> = lines.collect();
        rest.pop();
        rest.into_iter().for_each(&mut note);
        for (id, acknowledged) in ids.iter().zip(&acknowledged) {
            let held = loaded(&store, id).await;
            assert!(number(&held) >= *acknowledged, "round {round}: {} is older than {acknowledged}", number(&held));
        }
        // No lock is left, and an acknowledged logout is final for every later process.
        let (gone, late) = (id(), record(b"late"));
        let version = created(&store, &gone, &late).await;
        assert!(store.remove(&gone).await.unwrap());
        assert_eq!(store.update(&gone, &late, &version, usage(&late)).await.unwrap(), Update::Gone);
    }
    store.close().await.unwrap();
    let whole: String =
        rusqlite::Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_take_back_nothing_without_syncs() {
    kills_take_back_nothing(Durability::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_take_back_nothing_with_syncs_of_logouts() {
    kills_take_back_nothing(Durability::Data).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_take_back_nothing_with_all_syncs() {
    kills_take_back_nothing(Durability::Full).await;
}
