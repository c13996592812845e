//! No duration and no time makes the store panic, and each has a defined meaning.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use session_layer::{
    Clock, Durability, FileStore, Lifetime, SessionStore,
    store::{Acquire, Clearing, Create, Holder, Leases, Listing, Usage},
};

use crate::support::*;

const DURATIONS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_secs(u32::MAX as u64),
    Duration::from_secs(1 << 40),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// Times before 1970, then, now, in 2038, at the end of the year 9999, and after it.
fn times() -> [SystemTime; 8] {
    let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    [
        UNIX_EPOCH - Duration::from_secs(1 << 36),
        UNIX_EPOCH - Duration::from_nanos(1),
        UNIX_EPOCH,
        start(),
        after(1 << 31),
        after(4_102_444_800),
        after(253_402_300_799),
        after(1 << 40),
    ]
}

#[tokio::test]
async fn every_deadline_and_interval_works() {
    let dir = tempfile::tempdir().unwrap();
    for (number, time) in DURATIONS.into_iter().enumerate() {
        for every in [Some(time), None] {
            let builder = FileStore::builder(dir.path()).lock_deadline(time).sweep_interval(every);
            let store = builder.clock(Clock::manual(start())).open().await.unwrap();
            let key = id(number as u8, 1);
            let version = create(&store, &key, 1).await;
            updated(store.update(&key, &record(2), &version, usage()).await.unwrap());
            assert!(store.load(&key).await.unwrap().is_some(), "{time:?}");
            assert!(store.remove(&key).await.unwrap());
            store.sweep().await.unwrap();
            store.flush().await.unwrap();
            store.close().await.unwrap();
        }
    }
}

/// With a limit of zero, a call fails at once if the lock is taken, and gets the lock if it is free.
#[tokio::test]
async fn a_deadline_of_zero_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let builder = FileStore::builder(dir.path()).lock_deadline(Duration::ZERO).sweep_interval(None);
    let store = builder.clock(Clock::manual(start())).open().await.unwrap();
    create(&store, &id(1, 1), 1).await;
    let lock = std::fs::File::options().write(true).open(dir.path().join("01/lock")).unwrap();
    lock.try_lock().unwrap();
    let error = store.touch(&id(1, 1), usage()).await.unwrap_err();
    assert_eq!(error.kind(), session_layer::store::StoreErrorKind::Timeout);
    lock.unlock().unwrap();
    // The last try has found the lock taken, so the next one may come a few milliseconds later.
    let begun = std::time::Instant::now();
    while let Err(error) = store.touch(&id(1, 1), usage()).await {
        assert_eq!(error.kind(), session_layer::store::StoreErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(60), "it is free");
    }
}

#[tokio::test]
async fn leases_and_idle_times_of_any_length_work() {
    for now in times() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &Clock::manual(now)).await;
        for (number, time) in DURATIONS.into_iter().enumerate() {
            let key = id(1, number as u64);
            let lifetime = Lifetime::new(time.max(Duration::from_secs(1)), Duration::MAX).unwrap();
            let record = Arc::new(record_at(now, 1).as_ref().clone().with_lifetime(lifetime));
            store.create(&key, &record, Usage::at(&record, now)).await.unwrap();
            let lock = store.acquire(&key, Holder::from_u128(1), time).await.unwrap();
            assert!(matches!(lock, Acquire::Acquired { .. } | Acquire::Absent), "{lock:?}");
            store.release(&key, Holder::from_u128(1)).await.unwrap();
            store.metadata(&key).await.unwrap();
            store.delete_idle(time.into()).await.unwrap();
            // The wait may be long. The test only needs it to begin.
            let mut waits = Box::pin(store.released(&key, time));
            let _ = futures_now(&mut waits);
        }
        store.sweep().await.unwrap();
        store.clear().await.unwrap();
    }
}

fn futures_now<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> bool {
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
}

/// A clock that is advanced beyond the year 9999 stays at its end.
#[tokio::test]
async fn the_clock_stops_at_its_end() {
    let clock = Clock::manual(start());
    for _ in 0..100_000 {
        clock.advance(Duration::MAX);
    }
    let end = clock.now();
    assert!(end > start());
    clock.advance(Duration::from_millis(1));
    assert_eq!(clock.now(), end);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock).await;
    // A session that is created then has expired.
    store.create(&id(1, 1), &record_at(end, 1), Usage::at(&record_at(end, 1), end)).await.unwrap();
    assert!(store.load(&id(1, 1)).await.unwrap().is_none());
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    prop_oneof![
        prop::sample::select(times().to_vec()),
        (0..1_u64 << 41).prop_map(|seconds| UNIX_EPOCH - Duration::from_secs(1 << 40) + Duration::from_secs(seconds)),
        any::<u32>().prop_map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.into())),
    ]
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        prop::sample::select(DURATIONS.to_vec()),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_times_are_stored_or_expired(
        created in any_time(),
        now in any_time(),
        touched in (any_time(), any_time()),
        (idle, absolute) in (any_duration(), any_duration()),
        used in (any_time(), any_time()),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let clock = Clock::manual(now);
            let store = FileStore::builder(dir.path()).clock(clock.clone()).durability(Durability::None);
            let store = store.lock_deadline(idle).sweep_interval(Some(absolute)).open().await.unwrap();
            let second = Duration::from_secs(1);
            let lifetime = Lifetime::new(idle.max(second), absolute.max(second)).unwrap();
            let record = Arc::new(record_at(created, 1).as_ref().clone().with_lifetime(lifetime));
            let usage = Usage { used_at: used.0, expires_at: used.1 };
            let Create::Created(version) = store.create(&id(1, 1), &record, usage).await.unwrap() else { panic!() };
            let stored = store.load(&id(1, 1)).await.unwrap();
            assert!(stored.iter().all(|stored| stored.version == version && !stored.is_expired(clock.now())));
            store.touch(&id(1, 1), Usage { used_at: touched.0, expires_at: touched.1 }).await.unwrap();
            store.delete_idle(idle.into()).await.unwrap();
            store.acquire(&id(1, 1), Holder::from_u128(1), absolute).await.unwrap();
            clock.advance(absolute);
            store.sweep().await.unwrap();
        });
    }
}
