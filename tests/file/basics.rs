//! Opening, the files on the disk, expiry, and dropped futures.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_layer::{
    DynStore, FileStore, Lifetime, SessionId, SessionStore,
    record::Record,
    store::{Clearing, Create, Cursor, Listing, Refresh, Rename, StoreErrorKind, Swept, Touch, Update, Usage},
};

use crate::support::*;

#[tokio::test]
async fn opening_fails_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("a/b");
    let error = FileStore::open(&missing).await.unwrap_err();
    assert_eq!(error.path(), missing);
    assert!(error.to_string().contains("FileStore::create"), "{error}");
    assert_eq!(reason(&error), std::io::ErrorKind::NotFound);
    assert!(!missing.exists());

    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for error in [FileStore::open(&file).await.unwrap_err(), FileStore::create(&file).await.unwrap_err()] {
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
    let error = FileStore::open(&file).await.unwrap_err();
    assert!(error.to_string().contains("not a directory"));
    assert_eq!(reason(&error), std::io::ErrorKind::NotADirectory);
    let error = FileStore::open(file.join("below")).await.unwrap_err();
    assert_eq!(reason(&error), std::io::ErrorKind::NotADirectory);
    assert_eq!(reason(&FileStore::create(&file).await.unwrap_err()), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"x");

    let store = FileStore::create(&missing).await.unwrap();
    assert!(store.dir().is_absolute());
    assert_eq!(store.dir(), fs::canonicalize(&missing).unwrap());
    FileStore::create(&missing).await.expect("one that is there is opened");
}

/// A later change of the working directory doesn't matter.
#[tokio::test]
async fn relative_paths_become_absolute() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let relative = dir.path().file_name().unwrap();
    let store = FileStore::open(relative).await.unwrap();
    assert_eq!(store.dir(), fs::canonicalize(dir.path()).unwrap());
}

#[tokio::test]
async fn files_and_directories_are_readable_by_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("made");
    let store = FileStore::create(&root).await.unwrap();
    let owned = record(1).as_ref().clone().with_owner(Some(owner("alice")));
    store.create(&id(0xab, 1), &Arc::new(owned), usage_now()).await.unwrap();

    let mut seen = Vec::new();
    let mut todo = vec![root.clone()];
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            seen.push(path.strip_prefix(&root).unwrap().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(seen[0].to_str().unwrap(), format!("ab/{}", id(0xab, 1)));
    assert_eq!(seen[1].to_str().unwrap(), "ab/lock");
    assert!(seen[2].starts_with("owners"));
}

fn owner(name: &str) -> session_layer::record::Owner {
    session_layer::record::Owner::new(name, session_layer::record::Epoch::from_u64(1)).unwrap()
}

fn usage_now() -> Usage {
    Usage::keep_for(SystemTime::now(), HOUR)
}

/// A file with a session's name that isn't a session's file is an error, and stays.
#[tokio::test]
async fn links_and_foreign_files_are_left_alone() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    fixture.create(&id(1, 1), 5).await;
    let shard = store.dir().join("01");
    let outside = fixture.dir.path().join("outside");
    fs::write(&outside, fs::read(path_of(store, &id(1, 1))).unwrap()).unwrap();

    let (link, dangling, fifo, folder, copy) = (id(1, 2), id(1, 3), id(1, 4), id(1, 5), id(1, 6));
    symlink(&outside, path_of(store, &link)).unwrap();
    symlink("/nowhere/at/all", path_of(store, &dangling)).unwrap();
    let made = std::process::Command::new("mkfifo").arg(path_of(store, &fifo)).status().unwrap();
    assert!(made.success());
    fs::create_dir(path_of(store, &folder)).unwrap();
    let before = list(&shard);

    for id in [link, dangling, fifo, folder] {
        let version = session_layer::store::Version::from_u64(1);
        let errors = [
            store.load(&id).await.map(drop),
            store.create(&id, &record(1), usage()).await.map(drop),
            store.update(&id, &record(1), &version, usage()).await.map(drop),
            store.touch(&id, usage()).await.map(drop),
            store.remove(&id).await.map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
            assert!(format!("{error:?}").contains(&id.to_string()));
        }
    }
    fs::copy(path_of(store, &id(1, 1)), path_of(store, &copy)).unwrap();
    assert_eq!(store.load(&copy).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "a copy under another name");
    fs::remove_file(path_of(store, &copy)).unwrap();

    for name in ["notes.txt", ".hidden", "01000000-0000-8000-8000-00000000000x", "02000000-0000-8000-8000-000000000001"]
    {
        fs::write(shard.join(name), "stray").unwrap();
    }
    let strays = list(&shard);
    assert_eq!(strays.len(), before.len() + 4);
    assert_eq!(store.count().await.unwrap(), 1);
    fixture.clock.advance(DAY * 2);
    assert_eq!(store.sweep().await.unwrap(), Swept { deleted: 1, remaining: 0 });
    assert_eq!(store.clear().await.unwrap(), 0);
    let left: Vec<_> = strays.into_iter().filter(|name| *name != id(1, 1).to_string()).collect();
    assert_eq!(list(&shard), left);
    assert!(fs::read(&outside).is_ok());
}

fn list(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A link planted in place of a shard, a lock or a temporary file is not followed.
#[tokio::test]
async fn planted_links_are_not_followed() {
    let fixture = Fixture::new().await;
    let outside = tempfile::tempdir().unwrap();
    let shard = fixture.dir.path().join("05");
    symlink(outside.path(), &shard).unwrap();
    assert!(
        FileStore::open(fixture.dir.path()).await.unwrap_err().to_string().contains("something other than a directory")
    );
    fs::remove_file(&shard).unwrap();
    fs::create_dir(fixture.dir.path().join("06")).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, fixture.dir.path().join("06/lock")).unwrap();
    let error = fixture.store.create(&id(6, 1), &record(1), usage()).await.unwrap_err();
    assert!(format!("{error:?}").contains("06/lock"), "{error:?}");

    fs::create_dir(fixture.dir.path().join("07")).unwrap();
    symlink(&victim, fixture.dir.path().join("07/tmp")).unwrap();
    fixture.create(&id(7, 1), 1).await;
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(fs::symlink_metadata(fixture.dir.path().join("07/tmp")).is_err());
}

/// A touch moves the file's times: the file is the same, its content untouched.
#[tokio::test]
async fn a_touch_does_not_rewrite_the_record() {
    let fixture = Fixture::new().await;
    let id = id(2, 1);
    let version = fixture.create(&id, 1).await;
    let path = path_of(&fixture.store, &id);
    let (bytes, inode) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino());

    let later = start() + HOUR / 2;
    let touched = fixture.store.touch(&id, Usage { used_at: later, expires_at: later + HOUR }).await.unwrap();
    assert_eq!(touched, Touch::Touched);
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (bytes, inode));
    let stored = fixture.load(&id).await.unwrap();
    assert_eq!((stored.version, stored.used_at, stored.expires_at), (version, later, later + HOUR));

    // Never past the absolute limit.
    fixture.store.touch(&id, Usage { used_at: later, expires_at: start() + 2 * DAY }).await.unwrap();
    assert_eq!(fixture.load(&id).await.unwrap().expires_at, start() + DAY);
}

/// Another program reads the file, or copies the directory without its times.
#[tokio::test]
async fn times_set_by_other_programs_are_ignored() {
    let fixture = Fixture::new().await;
    let id = id(3, 1);
    fixture.create(&id, 1).await;
    let path = path_of(&fixture.store, &id);
    let set = |accessed: SystemTime, modified: SystemTime| {
        let times = fs::FileTimes::new().set_accessed(accessed).set_modified(modified);
        fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    };
    let foreign = UNIX_EPOCH + Duration::new(4_000_000_000, 123_456_789);

    // A backup has read the file. The last use follows from the expiry.
    let later = start() + HOUR / 4;
    fixture.store.touch(&id, Usage { used_at: later, expires_at: later + HOUR }).await.unwrap();
    set(foreign, fs::metadata(&path).unwrap().modified().unwrap());
    let stored = fixture.load(&id).await.unwrap();
    assert_eq!((stored.used_at, stored.expires_at), (later, later + HOUR));
    assert_eq!(fixture.store.delete_idle(HOUR.into()).await.unwrap(), Swept { deleted: 0, remaining: 1 });

    // A copy has neither time. The header has the times of the last write.
    set(foreign, foreign);
    let stored = fixture.load(&id).await.unwrap();
    assert_eq!((stored.used_at, stored.expires_at), (start(), start() + HOUR));
    assert_eq!(fixture.store.count().await.unwrap(), 1);
    fixture.clock.set(start() + HOUR);
    assert!(fixture.load(&id).await.is_none(), "a later time of the file does not extend it");
    assert_eq!(fixture.store.count().await.unwrap(), 0);
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 1, remaining: 0 });
}

/// The access time holds the last use, and reading does not move it.
#[tokio::test]
async fn a_load_leaves_the_access_time() {
    let fixture = Fixture::new().await;
    let id = id(3, 2);
    fixture.create(&id, 1).await;
    for _ in 0..3 {
        assert_eq!(fixture.load(&id).await.unwrap().used_at, start());
    }
    let accessed = fs::metadata(path_of(&fixture.store, &id)).unwrap().accessed().unwrap();
    assert!(accessed.duration_since(start()).unwrap() < Duration::from_millis(1));
}

/// A session without an end, and one beyond the times that many file systems can hold.
#[tokio::test]
async fn far_expiries_are_exact() {
    let fixture = Fixture::new().await;
    let never = Lifetime::new(Duration::MAX, Duration::MAX).unwrap();
    let mark = UNIX_EPOCH + Duration::from_millis(2_145_916_800_000);
    let year_2100 = UNIX_EPOCH + Duration::from_secs(4_102_444_800);
    let record = Arc::new(record(1).as_ref().clone().with_lifetime(never));
    for (number, expires_at) in (10..).zip([mark, year_2100, year_2100 + DAY * 10_000, record.absolute_limit()]) {
        let id = id(4, number);
        fixture.store.create(&id, &record, Usage { used_at: start(), expires_at }).await.unwrap();
        let created = fixture.load(&id).await.unwrap();
        assert_eq!(created.expires_at, expires_at);
        // Equal, earlier, far, near and later: the expiry is always exact, and the version stays.
        let mut latest = expires_at;
        for expires_at in [expires_at, expires_at - DAY, year_2100 + DAY, start() + DAY, expires_at + DAY] {
            let used_at = start() + Duration::from_secs(number);
            fixture.store.touch(&id, Usage { used_at, expires_at }).await.unwrap();
            let stored = fixture.load(&id).await.unwrap();
            // A touch makes nothing earlier.
            latest = latest.max(expires_at.min(record.absolute_limit()));
            assert_eq!((stored.used_at, stored.expires_at), (used_at, latest));
            assert_eq!(stored.version, created.version);
        }
    }
    fixture.clock.set(year_2100 + DAY + DAY / 2);
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 2, remaining: 2 });
}

/// Live sessions are counted as remaining; tombstones and epochs are not.
#[tokio::test]
async fn sweep_and_delete_idle_count_sessions() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for number in 0..600 {
        store.create(&id((number % 3) as u8, number), &record(number), usage()).await.unwrap();
    }
    store.ensure_epoch("alice", Usage::keep_for(start(), DAY * 30)).await.unwrap();
    let version = fixture.load(&id(0, 0)).await.unwrap().version;
    let renamed = store.rename(&id(0, 0), &version, &tombstone(start()), &id(9, 0), &record(0), usage()).await.unwrap();
    assert!(matches!(renamed, Rename::Renamed(_)));
    assert_eq!(store.sweep().await.unwrap(), Swept { deleted: 0, remaining: 600 });

    fixture.clock.advance(HOUR / 2);
    let now = fixture.clock.now();
    for number in 1..=100 {
        store.touch(&id((number % 3) as u8, number), Usage::at(&record(0), now)).await.unwrap();
    }
    fixture.clock.advance(HOUR / 4);
    let twin = fixture.twin().await;
    assert_eq!(twin.delete_idle((HOUR / 3).into()).await.unwrap(), Swept { deleted: 500, remaining: 100 });
    assert_eq!(store.count().await.unwrap(), 100);
    fixture.clock.advance(HOUR);
    assert_eq!(store.sweep().await.unwrap(), Swept { deleted: 100, remaining: 0 });
    assert!(store.owner_epoch("alice").await.unwrap().is_some(), "an epoch is no session and has not expired");
    assert!(store.ids(Cursor::START, 10).await.unwrap().ids.is_empty());
}

/// A cursor is a position among all ids, so any number is valid.
#[tokio::test]
async fn an_invented_cursor_is_a_position_among_the_ids() {
    let fixture = Fixture::new().await;
    for shard in [0, 0x7f, 0xff] {
        fixture.create(&id(shard, 1), 1).await;
    }
    let middle = 0x7f << 56;
    let places = [(1, 3), (u32::MAX.into(), 2), (middle - 1, 2), (middle, 2), (u64::MAX >> 1, 1), (u64::MAX, 0)];
    for (place, left) in places {
        for limit in [100, usize::MAX] {
            assert_eq!(fixture.store.ids(Cursor::from_u64(place), limit).await.unwrap().ids.len(), left, "{place:x}");
        }
        fixture.store.ids(Cursor::from_u64(place), 0).await.unwrap();
    }
}

#[tokio::test]
async fn pages_name_each_live_session_once() {
    let fixture = Fixture::new().await;
    for number in 0..300_u64 {
        fixture.create(&id((number * 7 % 256) as u8, number), number).await;
    }
    for limit in [0, 1, 7, 299, 300, 301] {
        let (mut seen, mut from) = (Vec::new(), Some(Cursor::START));
        while let Some(cursor) = from {
            let page = fixture.store.ids(cursor, limit).await.unwrap();
            assert!(page.ids.len() <= limit.max(1));
            seen.extend(page.ids);
            from = page.next;
            // Sessions that are created and removed in the meantime shift nothing.
            let passing = id(0, 10_000);
            fixture.create(&passing, 0).await;
            assert!(fixture.store.remove(&passing).await.unwrap());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 300, "limit {limit}");
    }
}

/// No cursor lies between ids with the same first half: they are on one page.
#[tokio::test]
async fn ids_with_one_prefix_are_on_one_page() {
    let fixture = Fixture::new().await;
    let ids: Vec<_> = (0..5)
        .map(|last| SessionId::from_uuid(uuid::Uuid::new_v8([3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, last])))
        .collect();
    for id in &ids {
        fixture.create(id, 1).await;
    }
    fixture.create(&id(3, u64::MAX), 1).await;
    let page = fixture.store.ids(Cursor::START, 2).await.unwrap();
    assert_eq!(page.ids, ids);
    let last = fixture.store.ids(page.next.unwrap(), 2).await.unwrap();
    assert_eq!(last.ids, [id(3, u64::MAX)]);
}

#[tokio::test]
async fn refresh_reads_no_record() {
    let fixture = Fixture::new().await;
    let id = id(5, 1);
    fixture.create(&id, 1).await;
    let held = fixture.load(&id).await.unwrap();
    assert!(
        matches!(fixture.store.refresh(&id, &held).await.unwrap(), Refresh::Same { usage, .. } if usage == held.usage())
    );
    let later = start() + HOUR / 2;
    fixture.store.touch(&id, Usage::at(&record(0), later)).await.unwrap();
    let Refresh::Same { usage, .. } = fixture.store.refresh(&id, &held).await.unwrap() else { panic!("not the same") };
    assert_eq!((usage.used_at, usage.expires_at), (later, later + HOUR));
    updated(fixture.store.update(&id, &record(2), &held.version, usage).await.unwrap());
    let Refresh::Changed(now) = fixture.store.refresh(&id, &held).await.unwrap() else { panic!("not changed") };
    assert_eq!(number(&now), 2);
    fixture.store.remove(&id).await.unwrap();
    assert!(matches!(fixture.store.refresh(&id, &held).await.unwrap(), Refresh::Gone));
}

/// Equal content has a new version each time, in every life of an id.
#[tokio::test]
async fn versions_never_repeat() {
    let fixture = Fixture::new().await;
    let (id, twin) = (id(6, 1), fixture.twin().await);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let mut version = fixture.create(&id, 1).await;
        assert!(seen.insert(version));
        for store in [&fixture.store, &twin] {
            version = updated(store.update(&id, &record(1), &version, usage()).await.unwrap());
            assert!(seen.insert(version));
        }
        assert!(twin.remove(&id).await.unwrap());
    }
}

/// Two stores over one directory, as in two processes, write equal content in the same millisecond. One of them wins,
/// and the version distinguishes its state from the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_writes_in_one_millisecond_are_told_apart() {
    let fixture = Fixture::new().await;
    let twin = fixture.twin().await;
    for round in 0..50 {
        let (from, to, other) = (id(11, round), id(12, round), id(13, round));
        let before = fixture.create(&from, 1).await;
        let new = record(2);
        let (one, two) = tokio::join!(
            fixture.store.update(&from, &new, &before, usage()),
            twin.update(&from, &new, &before, usage())
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        let ((Update::Updated(version), Update::Conflict(_)) | (Update::Conflict(_), Update::Updated(version))) =
            (&one, &two)
        else {
            panic!("{one:?} and {two:?}");
        };
        assert_eq!(fixture.load(&from).await.unwrap().version, *version);

        let graves = [tombstone(start()), tombstone(start())];
        let (one, two) = tokio::join!(
            fixture.store.rename(&from, version, &graves[0], &to, &new, usage()),
            twin.rename(&from, version, &graves[1], &other, &new, usage())
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        let (version, live, absent) = match (one, two) {
            (Rename::Renamed(version), Rename::Conflict(_)) => (version, to, other),
            (Rename::Conflict(_), Rename::Renamed(version)) => (version, other, to),
            both => panic!("{both:?}"),
        };
        assert_eq!(fixture.load(&live).await.unwrap().version, version);
        assert!(fixture.load(&absent).await.is_none());
    }
}

/// The operation is done or not begun, and the next one works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_leaves_a_whole_state() {
    let fixture = Fixture::new().await;
    let id = id(7, 1);
    let mut version = fixture.create(&id, 0).await;
    for round in 1..=200_u64 {
        let store = fixture.store.clone();
        let task = tokio::spawn(async move { store.update(&id, &record(round), &version, usage()).await });
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        // The lock is free again, and the file has the old or the new content.
        let stored = fixture.load(&id).await.unwrap();
        assert!(number(&stored) <= round);
        version = loop {
            let stored = fixture.load(&id).await.unwrap();
            match fixture.store.update(&id, &record(round), &stored.version, usage()).await.unwrap() {
                Update::Updated(version) => break version,
                Update::Conflict(_) => {}
                Update::Gone => panic!("gone"),
            }
        };
    }
}

/// One store removes a session; late writes of the other store don't bring it back.
#[tokio::test]
async fn late_writes_do_not_revive_a_removed_session() {
    let fixture = Fixture::new().await;
    let (id, twin) = (id(8, 1), fixture.twin().await);
    let version = fixture.create(&id, 1).await;
    let held = twin.load(&id).await.unwrap().unwrap();
    assert_eq!(held.version, version);
    assert!(fixture.store.remove(&id).await.unwrap());
    assert_eq!(twin.update(&id, &record(2), &held.version, usage()).await.unwrap(), Update::Gone);
    assert_eq!(twin.touch(&id, usage()).await.unwrap(), Touch::Gone);
    let renamed = twin
        .rename(&id, &held.version, &tombstone(start()), &crate::support::id(9, 1), &record(2), usage())
        .await
        .unwrap();
    assert_eq!(renamed, Rename::Gone);
    assert!(twin.load(&id).await.unwrap().is_none());
    assert!(!path_of(&twin, &id).exists());
}

/// No update is lost between the tasks of two stores over one directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_stores_all_count() {
    let fixture = Fixture::new().await;
    let (id, twin) = (id(9, 9), fixture.twin().await);
    fixture.create(&id, 0).await;
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let store = if task % 2 == 0 { fixture.store.clone() } else { twin.clone() };
            tokio::spawn(async move {
                for _ in 0..5 {
                    increment(&store, &id).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(number(&fixture.load(&id).await.unwrap()), 100);
}

/// A closed store answers with an error.
#[tokio::test]
async fn close_can_be_called_twice() {
    let fixture = Fixture::new().await;
    let boxed = DynStore::new(fixture.store.clone());
    fixture.create(&id(1, 1), 1).await;
    boxed.flush().await.unwrap();
    fixture.store.close().await.unwrap();
    boxed.close().await.unwrap();
    let error = boxed.load(&id(1, 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (StoreErrorKind::Unavailable, Some("load")));
    let reopened = fixture.twin().await;
    assert_eq!(number(&reopened.load(&id(1, 1)).await.unwrap().unwrap()), 1);
}

/// The task ends with the store's last clone.
#[tokio::test(start_paused = true)]
async fn the_task_sweeps_expired_sessions() {
    let fixture = Fixture::new().await;
    fixture.create(&id(1, 1), 1).await;
    let path = path_of(&fixture.store, &id(1, 1));
    let store = FileStore::builder(fixture.dir.path()).clock(fixture.clock.clone()).sweep_interval(Some(HOUR));
    let store = store.open().await.unwrap();
    fixture.clock.advance(HOUR);
    assert!(path.exists());
    while path.exists() {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    drop(store);
}

/// The stored record stays.
#[tokio::test]
async fn a_record_that_is_too_large_is_refused() {
    let fixture = Fixture::new().await;
    let id = id(1, 1);
    let version = fixture.create(&id, 1).await;
    let big = vec![0; 64 * 1024 * 1024];
    let entries = session_layer::record::Entries::from_sorted([("n", &big[..])].into_iter()).unwrap();
    let big = Arc::new(Record::clone(&record(0)).with_entries(entries));
    let error = fixture.store.update(&id, &big, &version, usage()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TooLarge);
    assert_eq!(number(&fixture.load(&id).await.unwrap()), 1);
    let other = crate::support::id(1, 2);
    assert_eq!(fixture.store.create(&other, &big, usage()).await.unwrap_err().kind(), StoreErrorKind::TooLarge);
    assert_eq!(
        fixture.store.create(&other, &record(2), usage()).await.map(|c| matches!(c, Create::Created(_))).ok(),
        Some(true)
    );
}
