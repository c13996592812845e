//! Settings at their extremes, and versions that are never given twice.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_layer::{
    Clock, Lifetime, MemoryStore, SessionId, SessionStore,
    record::Record,
    store::{
        Clearing, Create, Cursor, Holder, Leases, Listing, MemoryOpenError, MemoryStoreBuilder, Rename, StoreErrorKind,
        Update, Usage, Version,
    },
};

use super::support::{MINUTE, clock, create, id, record, with_snapshots};

type Set = fn(MemoryStoreBuilder, Duration) -> MemoryStoreBuilder;

const TIMES: [(&str, Set); 4] = [
    ("sweep_interval", MemoryStoreBuilder::sweep_interval),
    ("snapshot_interval", MemoryStoreBuilder::snapshot_interval),
    ("longest_lease", MemoryStoreBuilder::longest_lease),
    ("close_timeout", MemoryStoreBuilder::close_timeout),
];

fn durations() -> [Duration; 7] {
    [
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_secs(u64::from(u32::MAX)),
        Duration::from_secs(i64::MAX as u64 / 1_000),
        Duration::from_secs(i64::MAX as u64),
        Duration::from_secs(u64::MAX),
        Duration::MAX,
    ]
}

#[tokio::test]
async fn zero_durations_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, set) in TIMES {
        let builder = set(with_snapshots(&folder.path().join("sessions"), &clock()), Duration::ZERO);
        match builder.open().unwrap_err() {
            MemoryOpenError::Setting { setting, .. } => assert_eq!(setting, name),
            other => panic!("{name}: {other}"),
        }
    }
}

#[tokio::test]
async fn no_duration_panics_in_any_setting_or_call() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    for (name, set) in TIMES {
        for time in durations() {
            let path = folder.path().join(format!("{name} {time:?}"));
            let store = set(with_snapshots(&path, &clock), time).open().unwrap();
            create(&store, &id("a"), &record(&clock, None), &clock).await;
            // Let the tasks run.
            tokio::task::yield_now().await;
            for asked in durations().into_iter().chain([Duration::ZERO]) {
                let holder = Holder::generate().unwrap();
                store.acquire(&id("a"), holder, asked).await.unwrap();
                store.released(&id("a"), Duration::ZERO).await;
                store.released(&id("nobody"), asked).await;
                store.release(&id("a"), holder).await.unwrap();
                store.released(&id("a"), asked).await;
            }
            // If closing may not wait, it fails, but does not panic.
            if let Err(error) = store.close().await {
                assert_eq!((name, error.kind()), ("close_timeout", StoreErrorKind::Unavailable));
            }
        }
    }
}

#[tokio::test]
async fn no_instant_panics_in_any_call() {
    let instants = [
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::from_secs(1 << 40),
        UNIX_EPOCH + Duration::from_secs(1 << 40),
        UNIX_EPOCH + Duration::from_secs(1 << 62),
        SystemTime::now(),
    ];
    for start in instants {
        let clock = Clock::manual(start);
        let store = MemoryStore::with_clock(clock.clone());
        let longest = Lifetime::new(Duration::MAX, Duration::MAX).unwrap();
        for used_at in instants {
            for expires_at in instants {
                let usage = Usage { used_at, expires_at };
                let record =
                    Arc::new(Record::session(session_layer::id::TokenCheck::from_bytes([1; 16]), used_at, longest));
                if let Create::Created(version) = store.create(&id("a"), &record, usage).await.unwrap() {
                    store.update(&id("a"), &record, &version, usage).await.unwrap();
                }
                store.touch(&id("a"), usage).await.unwrap();
                store.load(&id("a")).await.unwrap();
                store.metadata(&id("a")).await.unwrap();
                store.ensure_epoch("ada", usage).await.unwrap();
                store.renew_epoch("ada", usage).await.unwrap();
                for unused_for in durations().into_iter().chain([Duration::ZERO]) {
                    store.delete_idle(unused_for.into()).await.unwrap();
                }
                clock.set(expires_at);
                store.sweep().await.unwrap();
                store.remove(&id("a")).await.unwrap();
                clock.set(start);
            }
        }
        clock.advance(Duration::MAX);
        store.sweep().await.unwrap();
        store.close().await.unwrap();
    }
}

/// The record of each version of an id, over all stores opened at one path.
#[derive(Default)]
struct Versions(HashMap<(SessionId, Version), Arc<Record>>);

impl Versions {
    /// A version that was seen before must stand for the same state as before.
    fn note(&mut self, id: SessionId, version: Version, record: &Arc<Record>) {
        let before = self.0.entry((id, version)).or_insert_with(|| Arc::clone(record));
        assert!(Arc::ptr_eq(before, record), "{version:?} of {id} stands for two states");
    }

    /// As `note`, for records that were written to the disk and read again. Equal records differ in their time.
    fn note_restored(&mut self, id: SessionId, version: Version, record: &Arc<Record>) {
        let before = self.0.entry((id, version)).or_insert_with(|| Arc::clone(record));
        assert_eq!(**before, **record, "{version:?} of {id} stands for two states");
        *before = Arc::clone(record);
    }
}

/// Makes all kinds of writes to a few ids, over restarts with and without a crash, and with lost files. A caller that
/// holds an old version never overwrites a state that it has not seen.
#[tokio::test]
async fn no_version_stands_for_two_states_of_one_id_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let clock = clock();
    let mut versions = Versions::default();
    let mut held: Vec<(SessionId, Version)> = Vec::new();
    for restart in 0..12u32 {
        let store = with_snapshots(&path, &clock).move_damaged_aside(true).open().unwrap();
        for id in store.ids(Cursor::START, 10_000).await.unwrap().ids {
            let stored = store.load(&id).await.unwrap().unwrap();
            versions.note_restored(id, stored.version, &stored.record);
        }
        // Versions from before the restart match only if their state came back.
        for (id, version) in std::mem::take(&mut held) {
            let now = store.load(&id).await.unwrap();
            let new = record(&clock, None);
            let usage = Usage::at(&new, clock.now());
            match store.update(&id, &new, &version, usage).await.unwrap() {
                Update::Updated(next) => {
                    assert_eq!(now.expect("it is there").version, version);
                    versions.note(id, next, &new);
                }
                Update::Conflict(_) => assert_ne!(now.expect("it is there").version, version),
                Update::Gone => assert!(now.is_none()),
            }
        }
        for round in 0..40u32 {
            clock.advance(Duration::from_millis(1));
            let (one, two) = (id(round % 5), id(5 + round % 3));
            // The content differs only in its time, and sometimes not at all.
            let new = record(&clock, (round % 4 == 0).then_some("ada"));
            let usage = Usage::at(&new, clock.now());
            if let Create::Created(version) = store.create(&one, &new, usage).await.unwrap() {
                versions.note(one, version, &new);
                held.push((one, version));
            }
            let stored = store.load(&one).await.unwrap().unwrap();
            match round % 7 {
                0 => drop(store.remove(&one).await.unwrap()),
                1 => {
                    store.remove(&two).await.unwrap();
                    let moved = store
                        .rename(&one, &stored.version, &crate::support::tombstone(clock.now()), &two, &new, usage)
                        .await
                        .unwrap();
                    let Rename::Renamed(version) = moved else { panic!("{moved:?}") };
                    versions.note(two, version, &new);
                    held.push((two, version));
                    store.remove(&one).await.unwrap();
                }
                2 => {
                    // A lease gives the same state another version, so that an earlier holder can't write any more.
                    let holder = Holder::generate().unwrap();
                    store.acquire(&one, holder, MINUTE).await.unwrap();
                    let leased = store.load(&one).await.unwrap().unwrap();
                    versions.note(one, leased.version, &leased.record);
                    held.push((one, leased.version));
                    store.release(&one, holder).await.unwrap();
                }
                3 if round % 2 == 1 => drop(store.clear().await.unwrap()),
                _ => {
                    let Update::Updated(version) = store.update(&one, &new, &stored.version, usage).await.unwrap()
                    else {
                        panic!("nobody else writes")
                    };
                    versions.note(one, version, &new);
                    held.push((one, version));
                }
            }
        }
        match restart % 4 {
            // The last snapshot contains everything.
            0 => store.close().await.unwrap(),
            // Writes since the last snapshot are lost.
            1 | 2 => {
                store.flush().await.unwrap();
                let saved = [".journal", ""].map(|suffix| {
                    let name = format!("{}{suffix}", path.display());
                    (std::fs::read(&name).unwrap(), name)
                });
                for round in 0..5 {
                    let new = record(&clock, None);
                    let lost = id(format!("lost {round}"));
                    let Create::Created(version) =
                        store.create(&lost, &new, Usage::at(&new, clock.now())).await.unwrap()
                    else {
                        panic!("it is new")
                    };
                    versions.note(lost, version, &new);
                    held.push((lost, version));
                }
                store.close().await.unwrap();
                for (content, name) in &saved {
                    std::fs::write(name, content).unwrap();
                }
                // The files are moved aside as if the disk was lost, and the store starts empty.
                if restart % 4 == 2 {
                    std::fs::write(&path, "damaged").unwrap();
                }
            }
            _ => {
                store.close().await.unwrap();
                std::fs::remove_file(&path).unwrap();
                std::fs::remove_file(format!("{}.journal", path.display())).unwrap();
            }
        }
    }
    assert!(versions.0.len() > 300);
}
