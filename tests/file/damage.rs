//! A damaged file is an error for its session, stays as it is, and can be removed.

use std::{fs, time::SystemTime};

use session_layer::{
    SessionStore,
    store::{Clearing, Cursor, Listing, Rename, StoreErrorKind, Swept},
};

use crate::support::*;

/// Writes these bytes to a session's file. `keep_times` keeps the file's times, as a failing disk does; an editor
/// changes them.
fn damage(path: &std::path::Path, bytes: &[u8], keep_times: bool) {
    let metadata = fs::metadata(path).unwrap();
    fs::write(path, bytes).unwrap();
    if keep_times {
        let times =
            fs::FileTimes::new().set_accessed(metadata.accessed().unwrap()).set_modified(metadata.modified().unwrap());
        fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }
}

/// The file is empty, cut at every length, or has a changed byte at any place.
#[tokio::test]
async fn every_damage_is_detected_and_nothing_is_overwritten() {
    let fixture = Fixture::new().await;
    let id = id(1, 1);
    let version = fixture.create(&id, 1).await;
    let path = path_of(&fixture.store, &id);
    let whole = fs::read(&path).unwrap();
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flips = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    for (round, bytes) in cuts.chain(flips).enumerate() {
        damage(&path, &bytes, true);
        let load = fixture.store.load(&id).await.unwrap_err();
        assert_eq!(load.kind(), StoreErrorKind::Corrupt);
        if round % 16 == 0 {
            let cause = std::error::Error::source(&load).unwrap().to_string();
            assert!(cause.contains(path.to_str().unwrap()), "{cause}");
            let errors = [
                fixture.store.create(&id, &record(2), usage()).await.map(drop),
                fixture.store.update(&id, &record(2), &version, usage()).await.map(drop),
                fixture.store.touch(&id, usage()).await.map(drop),
                fixture
                    .store
                    .rename(&id, &version, &tombstone(start()), &crate::support::id(2, 1), &record(2), usage())
                    .await
                    .map(drop),
                fixture.store.metadata(&id).await.map(drop),
            ];
            for error in errors {
                assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Corrupt);
            }
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
    assert!(fixture.load(&crate::support::id(2, 1)).await.is_none());
}

/// A file too large for a session is not read into memory.
#[tokio::test]
async fn a_huge_file_is_not_read() {
    let fixture = Fixture::new().await;
    let id = id(1, 3);
    fixture.create(&id, 1).await;
    let path = path_of(&fixture.store, &id);
    let file = fs::File::options().write(true).open(&path).unwrap();
    let times = fs::metadata(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(times.modified().unwrap())).unwrap();
    assert_eq!(fixture.store.load(&id).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(fixture.store.remove(&id).await.unwrap());
}

#[tokio::test]
async fn a_damaged_session_can_be_ended() {
    let fixture = Fixture::new().await;
    let id = id(1, 2);
    fixture.create(&id, 1).await;
    damage(&path_of(&fixture.store, &id), b"", true);
    assert!(fixture.store.load(&id).await.is_err());
    assert!(fixture.store.remove(&id).await.unwrap());
    assert!(fixture.load(&id).await.is_none());
    assert!(!fixture.store.remove(&id).await.unwrap());
    fixture.create(&id, 2).await;
}

/// It is swept when the session would have expired, or, if that time is unknown, a week after its last change.
#[tokio::test]
async fn damaged_files_are_swept_at_their_time() {
    let fixture = Fixture::new().await;
    let (rotten, edited, emptied) = (id(3, 1), id(3, 2), id(3, 3));
    for id in [rotten, edited, emptied] {
        fixture.create(&id, 1).await;
    }
    let edit = |id, bytes: &[u8], keep| damage(&path_of(&fixture.store, id), bytes, keep);
    edit(&rotten, b"", true);
    let mut bytes = fs::read(path_of(&fixture.store, &edited)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    edit(&edited, &bytes, false);
    edit(&emptied, b"", false);

    fixture.clock.set(start() + HOUR - std::time::Duration::from_millis(1));
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 0, remaining: 3 });
    fixture.clock.set(start() + HOUR);
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 2, remaining: 1 });
    assert!(fixture.load(&rotten).await.is_none());
    assert!(fixture.store.load(&emptied).await.is_err());
    fixture.clock.set(SystemTime::now() + DAY * 6);
    assert_eq!(fixture.store.sweep().await.unwrap().deleted, 0);
    fixture.clock.set(SystemTime::now() + DAY * 8);
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 1, remaining: 0 });
}

#[tokio::test]
async fn clear_removes_damaged_files() {
    let fixture = Fixture::new().await;
    let id = id(4, 1);
    fixture.create(&id, 1).await;
    damage(&path_of(&fixture.store, &id), b"\0\0", true);
    assert_eq!(fixture.store.ids(Cursor::START, 10).await.unwrap().ids, [id], "so that it can be found and removed");
    assert_eq!(fixture.store.clear().await.unwrap(), 1);
    assert!(fixture.load(&id).await.is_none());
}

/// A dead process's half-written file is removed by the next writer or sweep, and never read.
#[tokio::test]
async fn leftover_temporary_files_are_removed() {
    let fixture = Fixture::new().await;
    let version = fixture.create(&id(5, 1), 1).await;
    let tmp = fixture.dir.path().join("05/tmp");
    fs::write(&tmp, "half a sess").unwrap();
    updated(fixture.store.update(&id(5, 1), &record(2), &version, usage()).await.unwrap());
    assert!(!tmp.exists());
    assert_eq!(number(&fixture.load(&id(5, 1)).await.unwrap()), 2);

    fs::write(&tmp, "half a sess").unwrap();
    assert_eq!(fixture.store.sweep().await.unwrap(), Swept { deleted: 0, remaining: 1 });
    assert!(!tmp.exists());
}

/// If the tombstone can't be written, the old session stays and the new one is removed again.
#[tokio::test]
async fn a_failed_rename_leaves_the_old_session() {
    let fixture = Fixture::new().await;
    let (from, to) = (id(6, 1), id(7, 1));
    let version = fixture.create(&from, 1).await;
    // A directory in place of the temporary file: `to` can be written, the tombstone can't.
    let obstacle = fixture.dir.path().join("06/tmp");
    fs::create_dir(&obstacle).unwrap();
    let error = fixture.store.rename(&from, &version, &tombstone(start()), &to, &record(2), usage()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(fixture.load(&from).await.unwrap().version, version);
    assert!(fixture.load(&to).await.is_none());

    // The reverse: the new session can't be written.
    fs::rename(&obstacle, fixture.dir.path().join("07/tmp")).unwrap();
    assert!(fixture.store.rename(&from, &version, &tombstone(start()), &to, &record(2), usage()).await.is_err());
    assert_eq!(fixture.load(&from).await.unwrap().version, version);

    fs::remove_dir(fixture.dir.path().join("07/tmp")).unwrap();
    let renamed = fixture.store.rename(&from, &version, &tombstone(start()), &to, &record(2), usage()).await.unwrap();
    assert!(matches!(renamed, Rename::Renamed(_)));
}
