//! Restarts and crashes: sessions that come back, and sessions that must not.

use std::{fs, sync::Arc, time::Duration};

use session_layer::{
    SessionStore,
    record::{Owner, Record, RecordKind},
    store::{Clearing, Listing, MemoryOpenError, Owners, Rename, StoreErrorKind, Update, Usage},
};

use super::support::{MINUTE, after_a_crash, clock, create, id, record, revoke, sized, with_snapshots};

/// Entries, expiry, creation, last access, access count, owners and epochs, and the order of use.
#[tokio::test]
async fn a_restart_brings_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("er").join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    assert_eq!(store.restored().written_at, None);
    let plain = record(&clock, Some("alice"));
    let epoch = store.ensure_epoch("alice", Usage::at(&plain, clock.now())).await.unwrap();
    let login = Arc::new((*plain).clone().with_owner(Some(Owner::new("alice", epoch).unwrap())));
    create(&store, &id("alice"), &login, &clock).await;
    for name in ["a", "b", "c", "d"] {
        create(&store, &id(name), &sized(&clock, None, 1_000), &clock).await;
    }
    let short = Usage::keep_for(clock.now(), MINUTE);
    store.create(&id("short"), &record(&clock, None), short).await.unwrap();
    clock.advance(MINUTE / 2);
    let touched = Usage::keep_for(clock.now(), 90 * MINUTE);
    store.touch(&id("b"), touched).await.unwrap();
    for _ in 0..3 {
        store.load(&id("a")).await.unwrap().unwrap();
    }
    let before = store.metadata(&id("a")).await.unwrap();
    let version = store.load(&id("c")).await.unwrap().unwrap().version;
    store.close().await.unwrap();
    drop(store);

    clock.advance(MINUTE);
    // Three of four fit. "d" is the least recently used: "b" was touched, "a" and "c" were loaded.
    let store = with_snapshots(&path, &clock).capacity(4).open().unwrap();
    let restored = store.restored();
    assert_eq!((restored.sessions, restored.expired, restored.removed, restored.evicted), (4, 1, 0, 1));
    assert_eq!(restored.written_at, Some(clock.now() - MINUTE));
    assert_eq!(store.metadata(&id("a")).await.unwrap(), before);
    assert!(store.load(&id("d")).await.unwrap().is_none());
    let again = store.load(&id("alice")).await.unwrap().unwrap();
    assert_eq!(again.record, login);
    assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
    assert_eq!(store.list_owner("alice").await.unwrap().len(), 1);
    assert_eq!(store.load(&id("b")).await.unwrap().unwrap().usage(), touched);
    let stored = store.load(&id("c")).await.unwrap().unwrap();
    assert_eq!(stored.version, version);
    assert_eq!(stored.record.entries().get("n"), Some(&[b'x'; 1_000][..]));
    // Now "a" is the least recently used session without an owner.
    create(&store, &id("new"), &record(&clock, None), &clock).await;
    assert!(store.load(&id("a")).await.unwrap().is_none());
}

/// Ends a session after the snapshot in each way, then crashes.
#[tokio::test]
async fn sessions_ended_after_the_snapshot_stay_ended_after_a_crash() {
    for how in ["remove", "rename", "tombstone", "clear", "delete_idle", "revoke", "owner dropped"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let clock = clock();
        let store = with_snapshots(&path, &clock).open().unwrap();
        let plain = record(&clock, Some("alice"));
        let epoch = store.ensure_epoch("alice", Usage::at(&plain, clock.now())).await.unwrap();
        let login = Arc::new((*plain).clone().with_owner(Some(Owner::new("alice", epoch).unwrap())));
        let version = create(&store, &id("a"), &login, &clock).await;
        create(&store, &id("other"), &record(&clock, None), &clock).await;
        store.flush().await.unwrap();
        clock.advance(MINUTE);
        let usage = Usage::at(&login, clock.now());
        match how {
            "remove" => assert!(store.remove(&id("a")).await.unwrap()),
            "rename" => {
                let renamed = store
                    .rename(&id("a"), &version, &crate::support::tombstone(clock.now()), &id("b"), &login, usage)
                    .await
                    .unwrap();
                assert!(matches!(renamed, Rename::Renamed(_)));
            }
            "tombstone" => {
                let tombstone = Arc::new(Record::plain_tombstone(login.check(), clock.now()));
                let updated = store.update(&id("a"), &tombstone, &version, usage).await.unwrap();
                assert!(matches!(updated, Update::Updated(_)));
            }
            "clear" => assert_eq!(store.clear().await.unwrap(), 2),
            "delete_idle" => {
                clock.advance(6 * MINUTE);
                store.touch(&id("other"), Usage::keep_for(clock.now(), 60 * MINUTE)).await.unwrap();
                assert_eq!(store.delete_idle(MINUTE.into()).await.unwrap().deleted, 1);
            }
            "revoke" => assert_eq!(revoke(&store, "alice", &clock).await, 1),
            _ => {
                // Logged out by an update that keeps the session.
                let nobody = Arc::new((*login).clone().with_owner(None));
                let updated = store.update(&id("a"), &nobody, &version, usage).await.unwrap();
                assert!(matches!(updated, Update::Updated(_)));
            }
        }
        let (_folder, restarted) = after_a_crash(&path, &clock);
        assert!(restarted.load(&id("a")).await.unwrap().is_none(), "{how}");
        assert_eq!(restarted.load(&id("other")).await.unwrap().is_some(), how != "clear", "{how}");
        // A second crash before the next snapshot changes nothing.
        let (_folder, again) = after_a_crash(&_folder.path().join("sessions"), &clock);
        assert!(again.load(&id("a")).await.unwrap().is_none(), "{how}, twice");
    }
}

/// The epoch was renewed, so sessions that a crash brings back are revoked; also if the epoch was evicted.
#[tokio::test]
async fn revoked_sessions_stay_revoked_after_a_crash() {
    for evicted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let clock = clock();
        let store = with_snapshots(&path, &clock).bytes(1 << 20).open().unwrap();
        let usage = Usage::keep_for(clock.now(), 60 * MINUTE);
        let epoch = store.ensure_epoch("alice", usage).await.unwrap();
        let login = Arc::new((*record(&clock, None)).clone().with_owner(Some(Owner::new("alice", epoch).unwrap())));
        create(&store, &id("a"), &login, &clock).await;
        store.flush().await.unwrap();
        if evicted {
            for number in 0..40 {
                create(&store, &id(number), &sized(&clock, Some("bob"), 100_000), &clock).await;
                store.ensure_epoch(&format!("owner {number}"), usage).await.unwrap();
            }
            assert!(store.load(&id("a")).await.unwrap().is_none());
        }
        store.renew_epoch("alice", usage).await.unwrap();
        let (_folder, restarted) = after_a_crash(&path, &clock);
        assert!(restarted.load(&id("a")).await.unwrap().is_some(), "the session itself was not removed");
        assert_ne!(restarted.owner_epoch("alice").await.unwrap(), Some(epoch), "but it is revoked");
    }
}

/// An evicted session that is ended can't be removed from the table, but the snapshot still has it.
#[tokio::test]
async fn the_end_of_an_evicted_session_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).capacity(2).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    store.flush().await.unwrap();
    for name in ["b", "c"] {
        create(&store, &id(name), &record(&clock, None), &clock).await;
    }
    assert!(!store.remove(&id("a")).await.unwrap());
    let (_folder, restarted) = after_a_crash(&path, &clock);
    assert!(restarted.load(&id("a")).await.unwrap().is_none());
}

/// No session lives longer because of a restart.
#[tokio::test]
async fn a_shortened_expiry_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    let version = create(&store, &id("a"), &record(&clock, None), &clock).await;
    store.flush().await.unwrap();
    let short = Usage::keep_for(clock.now(), 5 * MINUTE);
    let updated = store.update(&id("a"), &record(&clock, None), &version, short).await.unwrap();
    assert!(matches!(updated, Update::Updated(_)));
    let (_folder, restarted) = after_a_crash(&path, &clock);
    assert_eq!(restarted.load(&id("a")).await.unwrap().unwrap().expires_at, short.expires_at);
    clock.advance(5 * MINUTE);
    assert!(restarted.load(&id("a")).await.unwrap().is_none());
}

/// An id that is stored again after its removal is a new session, to which the earlier removal does not apply.
#[tokio::test]
async fn a_removal_ends_only_the_earlier_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let usage = Usage::keep_for(clock.now(), 60 * MINUTE);
    let store = with_snapshots(&path, &clock).open().unwrap();
    store.ensure_epoch("alice", usage).await.unwrap();
    store.renew_epoch("alice", usage).await.unwrap();
    let epoch = store.ensure_epoch("alice", usage).await.unwrap();
    store.clear().await.unwrap();
    let after = store.ensure_epoch("alice", usage).await.unwrap();
    assert_ne!(epoch, after);
    let journal = fs::read(folder.path().join("sessions.journal")).unwrap();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    // As if the crash had come after the snapshot and before its journal was begun.
    fs::write(folder.path().join("sessions.journal"), journal).unwrap();
    let store = with_snapshots(&path, &clock).open().unwrap();
    assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(after));
}

#[tokio::test]
async fn versions_do_not_repeat_after_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let session = record(&clock, None);
    let store = with_snapshots(&path, &clock).open().unwrap();
    let first = create(&store, &id("a"), &session, &clock).await;
    store.flush().await.unwrap();
    let mut seen = vec![first];
    let (mut folders, mut stores) = (vec![folder], vec![store]);
    for _ in 0..5 {
        let store = stores.last().unwrap();
        let version = store.load(&id("a")).await.unwrap().unwrap().version;
        let usage = Usage::at(&session, clock.now());
        let Update::Updated(version) = store.update(&id("a"), &session, &version, usage).await.unwrap() else {
            panic!("nobody else updates");
        };
        assert!(!seen.contains(&version));
        seen.push(version);
        // The update is lost: it came after the snapshot.
        let (folder, store) = after_a_crash(&folders.last().unwrap().path().join("sessions"), &clock);
        folders.push(folder);
        stores.push(store);
    }
}

/// A damaged file is named, refused and left alone, or moved aside if so set.
#[tokio::test]
async fn a_damaged_snapshot_is_refused_or_moved_aside() {
    for damaged in ["sessions", "sessions.journal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let clock = clock();
        let store = with_snapshots(&path, &clock).open().unwrap();
        create(&store, &id("a"), &record(&clock, None), &clock).await;
        store.flush().await.unwrap();
        store.remove(&id("b")).await.unwrap();
        let files = [path.clone(), folder.path().join("sessions.journal")].map(|path| (fs::read(&path).unwrap(), path));
        drop(store);
        files.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        let damaged = folder.path().join(damaged);
        let mut bytes = fs::read(&damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&damaged, &bytes).unwrap();

        let error = with_snapshots(&path, &clock).open().unwrap_err();
        assert!(matches!(&error, MemoryOpenError::Damaged { path, .. } if *path == damaged), "{error}");
        assert!(error.to_string().contains(damaged.to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("move_damaged_aside"), "{error}");
        assert_eq!(fs::read(&damaged).unwrap(), bytes, "it stays as it is");

        let store = with_snapshots(&path, &clock).move_damaged_aside(true).open().unwrap();
        assert!(store.count().await.unwrap() == 0);
        assert_eq!(store.restored().moved_aside.len(), 2);
        assert!(store.restored().moved_aside.iter().any(|path| fs::read(path).unwrap() == bytes));
        create(&store, &id("a"), &record(&clock, None), &clock).await;
        store.close().await.unwrap();
        drop(store);
        assert_eq!(with_snapshots(&path, &clock).open().unwrap().count().await.unwrap(), 1);
    }
}

/// A crash of the machine may leave the journal's length on the disk, with zeros in place of its last bytes. That line
/// was not acknowledged, and the store opens with all the others.
#[tokio::test]
async fn a_journal_with_a_torn_end_opens() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("sessions"), folder.path().join("sessions.journal"));
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    for name in ["a", "b", "c"] {
        create(&store, &id(name), &record(&clock, None), &clock).await;
    }
    store.flush().await.unwrap();
    store.remove(&id("a")).await.unwrap();
    let before = fs::metadata(&journal).unwrap().len() as usize;
    store.remove(&id("b")).await.unwrap();
    let whole = fs::read(&journal).unwrap();
    for kept in before..whole.len() {
        let mut torn = whole.clone();
        torn[kept..].fill(0);
        fs::write(&journal, &torn).unwrap();
        let (_folder, restarted) = after_a_crash(&path, &clock);
        assert!(restarted.load(&id("a")).await.unwrap().is_none(), "it was answered");
        assert!(restarted.load(&id("c")).await.unwrap().is_some());
    }
    fs::write(&journal, whole).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let clock = clock();
    for foreign in ["", "dear diary", "a text that is longer than the head of a snapshot is long"] {
        fs::write(&path, foreign).unwrap();
        let error = with_snapshots(&path, &clock).open().unwrap_err();
        assert!(matches!(error, MemoryOpenError::Damaged { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
}

#[tokio::test]
async fn two_stores_on_one_path_the_second_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    let error = with_snapshots(&path, &clock).open().unwrap_err();
    assert!(matches!(error, MemoryOpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    store.close().await.unwrap();
    // Closing is enough: the old handle may live on.
    with_snapshots(&path, &clock).open().unwrap();
}

/// With a full disk or a missing folder, a snapshot fails with an error, the last good one stays, and the next interval
/// tries again.
#[tokio::test]
async fn the_folder_goes_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    store.flush().await.unwrap();
    // Once this line is written, the journal has been begun anew and nothing is being written.
    store.remove(&id("marker")).await.unwrap();
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    // A file stands in place of the folder.
    fs::write(folder.path().join("data"), "x").unwrap();
    let error = store.flush().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(path.to_str().unwrap()), "{cause}");
    assert!(store.load(&id("a")).await.unwrap().is_some(), "requests go on");
    fs::remove_file(folder.path().join("data")).unwrap();
    store.flush().await.unwrap();
    store.remove(&id("a")).await.unwrap();
    let (_folder, restarted) = after_a_crash(&path, &clock);
    assert!(restarted.count().await.unwrap() == 0, "the journal is at its place again, too");
}

#[cfg(unix)]
#[tokio::test]
async fn only_this_user_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let store = with_snapshots(&path, &clock()).open().unwrap();
    store.close().await.unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["sessions", "sessions.journal", "sessions.lock"]);
}

/// Closing returns the last snapshot's error, also the second time. A store dropped without closing writes a snapshot.
#[tokio::test]
async fn close_and_drop_write_the_last_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    drop(store);
    let store = with_snapshots(&path, &clock).open().unwrap();
    assert_eq!(store.restored().sessions, 1);
    create(&store, &id("b"), &record(&clock, None), &clock).await;
    let (first, second) = tokio::join!(store.close(), store.close());
    assert!(first.is_ok() && second.is_ok());
    drop(store);

    let store = with_snapshots(&path, &clock).open().unwrap();
    assert_eq!(store.restored().sessions, 2);
    fs::create_dir_all(folder.path().join("sessions.tmp").join("in the way")).unwrap();
    for _ in 0..2 {
        let error = store.close().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    assert!(path.exists(), "the last good one stays");
}

/// The snapshot can't be written within a nanosecond.
#[tokio::test]
async fn close_is_limited_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let builder = with_snapshots(&folder.path().join("sessions"), &clock);
    let store = builder.close_timeout(Duration::from_nanos(1)).open().unwrap();
    for number in 0..1_000 {
        create(&store, &id(number), &sized(&clock, None, 1_000), &clock).await;
    }
    let error = store.close().await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.source()).unwrap().to_string();
    assert!(cause.contains("1ns"), "{cause}");
    // The path is free once the late snapshot is written. (By a thread of the operating system, so there is nothing to
    // await.)
    while with_snapshots(&folder.path().join("sessions"), &clock).open().is_err() {
        std::thread::yield_now();
    }
}

/// The caller is dropped before the journal has its line. The removal is complete all the same.
#[tokio::test]
async fn a_dropped_removal_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    for number in 0..50 {
        create(&store, &id(number), &record(&clock, None), &clock).await;
    }
    store.flush().await.unwrap();
    for number in 0..50 {
        let id = id(number);
        let mut remove = Box::pin(store.remove(&id));
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(remove.as_mut().poll(context))).await;
        drop(remove);
        assert!(store.load(&id).await.unwrap().is_none());
    }
    // Lines are written in order.
    assert!(!store.remove(&id("marker")).await.unwrap());
    let (_folder, restarted) = after_a_crash(&path, &clock);
    assert_eq!(restarted.restored().removed, 50);
}

/// A request with the old cookie still sees that it was superseded.
#[tokio::test]
async fn tombstones_are_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).open().unwrap();
    let session = record(&clock, None);
    let version = create(&store, &id("a"), &session, &clock).await;
    store
        .rename(
            &id("a"),
            &version,
            &crate::support::tombstone(clock.now()),
            &id("b"),
            &session,
            Usage::at(&session, clock.now()),
        )
        .await
        .unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = with_snapshots(&path, &clock).open().unwrap();
    assert_eq!(store.load(&id("a")).await.unwrap().unwrap().record.kind(), RecordKind::Tombstone);
    assert_eq!((store.count().await.unwrap(), store.restored().sessions), (1, 1));
}
