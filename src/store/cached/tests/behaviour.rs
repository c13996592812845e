//! One interleaving at a time, each produced by stopping the store inside a call.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use proptest::prelude::*;

use super::{sample::*, store::TestStore};
use crate::store::{
    Acquire, CacheConfig, CachedStore, Clearing, Create, Holder, Leases, Listing, Refresh, Rename, SessionStore,
    StoreErrorKind, Stored, Touch, Update, Usage, Version,
};

type Cache = CachedStore<TestStore>;

/// Always validated.
fn validated() -> (TestStore, Cache) {
    let store = TestStore::new(clock());
    (store.clone(), CachedStore::with_config(store, CacheConfig::new().clock(clock())))
}

/// Trusted without a time limit, so that only the cache's own coherence keeps it right.
fn trusted() -> (TestStore, Cache) {
    let store = TestStore::new(clock());
    (store.clone(), CachedStore::with_config(store, CacheConfig::new().trusted(FOREVER).clock(clock())))
}

async fn put(store: &impl SessionStore, name: &str, text: &str) -> Version {
    match store.create(&id(name), &record(text), usage()).await.unwrap() {
        Create::Created(version) => version,
        Create::Exists => panic!("{name} is there"),
    }
}

async fn get(store: &impl SessionStore, name: &str) -> Option<String> {
    text(store.load(&id(name)).await.unwrap())
}

fn idle(cache: &Cache) -> bool {
    cache.cache.as_ref().unwrap().table.active() == 0
}

/// Polls once, so that the future is under way.
async fn begin<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        Poll::Pending => Poll::Ready(()),
        Poll::Ready(_) => panic!("it is over already"),
    })
    .await;
}

#[tokio::test]
async fn a_change_elsewhere_is_seen_by_the_next_load() {
    let (elsewhere, cache) = validated();
    let version = put(&cache, "a", "1").await;
    assert_eq!(get(&cache, "a").await.unwrap(), "1");
    elsewhere.update(&id("a"), &record("2"), &version, usage()).await.unwrap();
    assert_eq!(get(&cache, "a").await.unwrap(), "2");
    assert!(elsewhere.remove(&id("a")).await.unwrap());
    assert_eq!(get(&cache, "a").await, None);
    let statistics = cache.statistics();
    assert_eq!((statistics.hits, statistics.misses, statistics.sessions), (1, 2, 0));
}

#[tokio::test]
async fn trust_lasts_for_its_time_and_no_longer() {
    let clock = clock();
    let elsewhere = TestStore::new(clock.clone());
    let settings = CacheConfig::new().trusted(Duration::from_secs(10)).clock(clock.clone());
    let cache = CachedStore::with_config(elsewhere.clone(), settings);
    put(&elsewhere, "a", "1").await;
    assert_eq!(get(&cache, "a").await.unwrap(), "1");
    elsewhere.remove(&id("a")).await.unwrap();
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(get(&cache, "a").await.unwrap(), "1");
    clock.advance(Duration::from_millis(1));
    assert_eq!(get(&cache, "a").await, None);
    // A clock that is set back ends the trust.
    put(&elsewhere, "b", "1").await;
    assert_eq!(get(&cache, "b").await.unwrap(), "1");
    elsewhere.remove(&id("b")).await.unwrap();
    clock.set(start());
    assert_eq!(get(&cache, "b").await, None);
}

#[tokio::test]
async fn a_touch_moves_the_expiry_and_makes_nothing_fresher() {
    let clock = clock();
    let elsewhere = TestStore::new(clock.clone());
    let settings = CacheConfig::new().trusted(Duration::from_secs(10)).clock(clock.clone());
    let cache = CachedStore::with_config(elsewhere.clone(), settings);
    let version = put(&cache, "a", "1").await;
    elsewhere.update(&id("a"), &record("2"), &version, usage()).await.unwrap();
    clock.advance(Duration::from_secs(6));
    let later = Usage::at(&record(""), clock.now());
    assert_eq!(cache.touch(&id("a"), later).await.unwrap(), Touch::Touched);
    assert_eq!(cache.load(&id("a")).await.unwrap().unwrap().usage(), later);
    clock.advance(Duration::from_secs(4));
    assert_eq!(get(&cache, "a").await.unwrap(), "2", "ten seconds after it was written");
    elsewhere.remove(&id("a")).await.unwrap();
    assert_eq!(cache.touch(&id("a"), later).await.unwrap(), Touch::Gone);
    assert_eq!(get(&cache, "a").await, None);
}

#[tokio::test]
async fn an_expired_entry_is_not_served() {
    let clock = clock();
    let store = TestStore::new(clock.clone());
    let cache = CachedStore::with_config(store.clone(), CacheConfig::new().trusted(FOREVER).clock(clock.clone()));
    put(&cache, "a", "1").await;
    put(&cache, "b", "1").await;
    clock.advance(Duration::from_secs(3_599));
    assert!(get(&cache, "a").await.is_some());
    // Touched by another process: only the store knows that the session lives.
    store.touch(&id("b"), Usage::at(&record(""), clock.now())).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(get(&cache, "a").await, None);
    assert!(get(&cache, "b").await.is_some());
}

#[tokio::test]
async fn concurrent_misses_make_one_call() {
    for (store, cache) in [validated(), trusted()] {
        put(&store, "a", "1").await;
        let a = id("a");
        let loads: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn({
                    let cache = cache.clone();
                    async move { cache.load(&a).await }
                })
            })
            .collect();
        for load in loads {
            assert_eq!(text(load.await.unwrap().unwrap()).unwrap(), "1");
        }
        assert_eq!(store.loads(), 1);
        assert!(idle(&cache));
    }
}

/// Validated: a load that begins after a logout elsewhere must not get an answer that was read before it.
#[tokio::test]
async fn a_load_gets_no_answer_from_before_it_began() {
    let (elsewhere, cache) = validated();
    put(&elsewhere, "a", "1").await;
    let mut gate = elsewhere.stop_next("load");
    let a = id("a");
    let mut early = pin!(cache.load(&a));
    begin(&mut early).await;
    tokio::select! { biased; _ = &mut early => panic!("it is stopped"), () = gate.reached() => {} }

    assert!(elsewhere.remove(&a).await.unwrap());
    let mut late: Vec<_> = (0..10).map(|_| Box::pin(cache.load(&a))).collect();
    for load in &mut late {
        begin(load).await;
    }
    gate.open();
    assert_eq!(text(early.await.unwrap()).unwrap(), "1", "it was read before the logout");
    for load in late {
        assert!(load.await.unwrap().is_none());
    }
    assert_eq!(elsewhere.loads(), 2, "all that came late share one call");
    assert!(cache.load(&a).await.unwrap().is_none());
    assert!(idle(&cache));
}

/// Trusted: loads that arrive during a call share it.
#[tokio::test]
async fn a_trusting_load_shares_the_call_under_way() {
    let (store, cache) = trusted();
    put(&store, "a", "1").await;
    let mut gate = store.stop_next("load");
    let a = id("a");
    let (mut first, mut second) = (pin!(cache.load(&a)), pin!(cache.load(&a)));
    tokio::select! { biased; _ = &mut first => panic!("it is stopped"), () = gate.reached() => {} }
    begin(&mut second).await;
    gate.open();
    let (first, second) = tokio::join!(first, second);
    assert!(first.unwrap().is_some() && second.unwrap().is_some());
    assert_eq!(store.loads(), 1);
}

/// A miss, a delete, and then the late fill: the session is absent afterwards. The same for every other write.
#[tokio::test]
async fn a_late_fill_does_not_undo_a_write() {
    let writes: [(&str, Option<&str>); 6] = [
        ("remove", None),
        ("update", Some("2")),
        ("rename", None),
        ("clear", None),
        ("delete_idle", None),
        ("touch", Some("1")),
    ];
    for (write, expected) in writes {
        let (store, cache) = trusted();
        let version = put(&store, "a", "1").await;
        let mut gate = store.stop_next("load");
        let a = id("a");
        let mut fill = pin!(cache.load(&a));
        tokio::select! { biased; _ = &mut fill => panic!("it is stopped"), () = gate.reached() => {} }
        match write {
            "remove" => assert!(cache.remove(&a).await.unwrap()),
            "update" => {
                assert!(matches!(cache.update(&a, &record("2"), &version, usage()).await.unwrap(), Update::Updated(_)))
            }
            "rename" => assert!(matches!(
                cache.rename(&a, &version, &tombstone(), &id("b"), &record("2"), usage()).await.unwrap(),
                Rename::Renamed(_)
            )),
            "clear" => assert_eq!(cache.clear().await.unwrap(), 1),
            "delete_idle" => assert_eq!(cache.delete_idle(Duration::ZERO.into()).await.unwrap().deleted, 1),
            _ => assert_eq!(cache.touch(&a, usage()).await.unwrap(), Touch::Touched),
        }
        gate.open();
        assert_eq!(text(fill.await.unwrap()).unwrap(), "1", "it was read before");
        assert_eq!(get(&cache, "a").await.as_deref(), expected, "{write}");
        if write == "rename" {
            assert_eq!(get(&cache, "b").await.unwrap(), "2");
        }
        assert!(idle(&cache), "{write}");
    }
}

/// A load that begins after a removal must not join a call that began before it.
#[tokio::test]
async fn a_load_after_a_removal_joins_no_earlier_call() {
    let (store, cache) = trusted();
    put(&store, "a", "1").await;
    let mut gate = store.stop_next("load");
    let a = id("a");
    let mut early = pin!(cache.load(&a));
    tokio::select! { biased; _ = &mut early => panic!("it is stopped"), () = gate.reached() => {} }
    cache.remove(&a).await.unwrap();
    let mut late = pin!(cache.load(&a));
    begin(&mut late).await;
    gate.open();
    let (_, late) = tokio::join!(early, late);
    assert!(late.unwrap().is_none());
}

/// Two updates overlap: the one that answers last was not the last.
#[tokio::test]
async fn overlapping_writes_leave_the_stores_state() {
    let (store, cache) = trusted();
    let version = put(&cache, "a", "1").await;
    let mut gate = store.stop_next("update");
    let (a, two) = (id("a"), record("2"));
    let mut first = pin!(cache.update(&a, &two, &version, usage()));
    tokio::select! { biased; _ = &mut first => panic!("it is stopped"), () = gate.reached() => {} }
    let version = store.load(&a).await.unwrap().unwrap().version;
    assert!(matches!(cache.update(&a, &record("3"), &version, usage()).await.unwrap(), Update::Updated(_)));
    gate.open();
    assert!(matches!(first.await.unwrap(), Update::Updated(_)));
    assert_eq!(get(&cache, "a").await.unwrap(), "3");
}

/// A write is dropped after it took effect.
#[tokio::test]
async fn a_dropped_write_leaves_nothing_stale() {
    for write in ["remove", "update", "clear"] {
        let (store, cache) = trusted();
        let version = put(&cache, "a", "1").await;
        assert!(get(&cache, "a").await.is_some());
        let mut gate = store.stop_next(write);
        let (a, two) = (id("a"), record("2"));
        let call: std::pin::Pin<Box<dyn Future<Output = ()>>> = match write {
            "remove" => Box::pin(async { drop(cache.remove(&a).await) }),
            "update" => Box::pin(async { drop(cache.update(&a, &two, &version, usage()).await) }),
            _ => Box::pin(async { drop(cache.clear().await) }),
        };
        tokio::select! { biased; () = call => panic!("it is stopped"), () = gate.reached() => {} }
        let expected = (write == "update").then_some("2");
        assert_eq!(get(&cache, "a").await.as_deref(), expected, "{write}");
        assert!(idle(&cache));
    }
}

/// The load that makes the call is dropped, and the next one makes it.
#[tokio::test]
async fn a_dropped_load_leaves_the_call_to_the_next() {
    for (store, cache) in [validated(), trusted()] {
        put(&store, "a", "1").await;
        let mut gate = store.stop_next("load");
        let a = id("a");
        let mut waiting = Box::pin(cache.load(&a));
        {
            let mut leader = pin!(cache.load(&a));
            begin(&mut leader).await;
            begin(&mut waiting).await;
            tokio::select! { biased; _ = &mut leader => panic!("it is stopped"), () = gate.reached() => {} }
        }
        assert_eq!(text(waiting.await.unwrap()).unwrap(), "1");
        assert_eq!(store.loads(), 2);

        // All are dropped: the next load starts afresh.
        cache.clear().await.unwrap();
        put(&store, "a", "2").await;
        let mut gate = store.stop_next("load");
        {
            let mut leader = pin!(cache.load(&a));
            tokio::select! { biased; _ = &mut leader => panic!("it is stopped"), () = gate.reached() => {} }
        }
        assert_eq!(get(&cache, "a").await.unwrap(), "2");
        assert!(idle(&cache));
    }
}

/// A failed load is never "absent", and all waiting loads get the error.
#[tokio::test]
async fn an_error_is_passed_on_and_nothing_is_cached() {
    for (store, cache) in [validated(), trusted()] {
        put(&store, "a", "1").await;
        store.fail(true);
        let a = id("a");
        let (one, two) = tokio::join!(cache.load(&a), cache.load(&a));
        assert_eq!(one.unwrap_err().kind(), StoreErrorKind::Unavailable);
        assert_eq!(two.unwrap_err().kind(), StoreErrorKind::Unavailable);
        store.fail(false);
        assert_eq!(get(&cache, "a").await.unwrap(), "1");
        assert_eq!((cache.statistics().errors, store.loads()), (2, 2));
        // A failed write drops the entry, since it may have happened.
        store.fail(true);
        assert!(cache.remove(&a).await.is_err());
        assert_eq!(cache.statistics().sessions, 0);
        assert!(idle(&cache));
    }
}

#[tokio::test]
async fn a_validation_that_fails_is_an_error() {
    let (store, cache) = validated();
    put(&cache, "a", "1").await;
    store.fail(true);
    assert_eq!(cache.load(&id("a")).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn writes_go_through_into_the_cache() {
    let (store, cache) = trusted();
    let first = put(&cache, "a", "1").await;
    let Update::Updated(second) = cache.update(&id("a"), &record("2"), &first, usage()).await.unwrap() else {
        panic!("not updated")
    };
    let cached = cache.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(store.loads(), 0);
    assert_eq!((cached.version, text(Some(cached)).unwrap()), (second, "2".to_owned()));
    // A conflict shows that the cached record is stale.
    store.update(&id("a"), &record("3"), &second, usage()).await.unwrap();
    assert_eq!(cache.update(&id("a"), &record("4"), &second, usage()).await.unwrap(), Update::Conflict(None));
    assert_eq!(get(&cache, "a").await.unwrap(), "3");
}

#[tokio::test]
async fn a_lease_gives_another_version() {
    let (_, cache) = trusted();
    let before = put(&cache, "a", "1").await;
    let holder = Holder::from_u128(1);
    let lock = cache.acquire(&id("a"), holder, Duration::from_secs(1)).await.unwrap();
    assert!(matches!(lock, Acquire::Acquired { .. }));
    assert_ne!(cache.load(&id("a")).await.unwrap().unwrap().version, before);
}

/// Revoking all sessions of an owner is visible at once, trusted or not.
#[tokio::test]
async fn epochs_are_not_cached() {
    let (elsewhere, cache) = trusted();
    let epoch = cache.ensure_epoch("bob", usage()).await.unwrap();
    assert_eq!(cache.owner_epoch("bob").await.unwrap(), Some(epoch));
    elsewhere.renew_epoch("bob", usage()).await.unwrap();
    assert_ne!(cache.owner_epoch("bob").await.unwrap(), Some(epoch));
}

#[tokio::test]
async fn it_is_bounded_in_sessions_and_bytes() {
    let store = TestStore::new(clock());
    let settings = CacheConfig::new().clock(clock()).trusted(FOREVER);
    let cache = CachedStore::with_config(store.clone(), settings.clone().capacity(4));
    for name in 0..10 {
        put(&cache, &name.to_string(), "1").await;
    }
    let statistics = cache.statistics();
    assert_eq!((statistics.fills, statistics.evictions, statistics.sessions), (10, 6, 4));
    assert!(get(&cache, "9").await.is_some() && get(&cache, "6").await.is_some());
    assert_eq!(store.loads(), 0);

    let cache = CachedStore::with_config(store.clone(), settings.max_bytes(16 * 2_000));
    for name in 10..500 {
        put(&cache, &name.to_string(), &"x".repeat(500)).await;
    }
    let statistics = cache.statistics();
    assert!(statistics.bytes <= 16 * 2_000 && statistics.sessions > 16, "{statistics:?}");
    put(&cache, "large", &"x".repeat(5_000)).await;
    assert_eq!(get(&cache, "large").await.unwrap().len(), 5_000, "not cached, and still there");
}

#[tokio::test]
async fn it_steps_aside_for_a_store_in_memory_and_at_capacity_zero() {
    let memory = CachedStore::new(TestStore::build(clock(), true));
    assert!(memory.in_memory());
    let none = CachedStore::with_config(TestStore::new(clock()), CacheConfig::new().capacity(0));
    for cache in [memory, none] {
        put(&cache, "a", "1").await;
        assert_eq!(get(&cache, "a").await.unwrap(), "1");
        assert!(cache.remove(&id("a")).await.unwrap());
        assert_eq!(cache.statistics(), Default::default());
        assert_eq!(cache.inner().loads(), 1);
    }
}

/// A cache in front of a cache validates against the store, not against the inner cache.
#[tokio::test]
async fn refresh_asks_the_store() {
    let (elsewhere, cache) = trusted();
    put(&cache, "a", "1").await;
    let held = cache.load(&id("a")).await.unwrap().unwrap();
    elsewhere.remove(&id("a")).await.unwrap();
    assert!(matches!(cache.refresh(&id("a"), &held).await.unwrap(), Refresh::Gone));
}

#[derive(Debug, Clone)]
enum Step {
    Load(u8),
    Create(u8, u8),
    /// From the version seen last, or an outdated one.
    Update(u8, u8, bool),
    Touch(u8, u16),
    Remove(u8),
    Rename(u8, u8, u8),
    Clear,
    Advance(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..4u8;
    let step = prop_oneof![
        6 => key.clone().prop_map(Step::Load),
        3 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Create(key, value)),
        4 => (key.clone(), any::<u8>(), any::<bool>()).prop_map(|(key, value, now)| Step::Update(key, value, now)),
        2 => (key.clone(), 0..4_000u16).prop_map(|(key, by)| Step::Touch(key, by)),
        2 => key.clone().prop_map(Step::Remove),
        2 => (key.clone(), key, any::<u8>()).prop_map(|(from, to, value)| Step::Rename(from, to, value)),
        1 => Just(Step::Clear),
        1 => (0..2_000u16).prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 0..60)
}

fn same(left: &Option<Stored>, right: &Option<Stored>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            left.record == right.record && left.version == right.version && left.usage() == right.usage()
        }
        _ => false,
    }
}

proptest! {
    /// After any sequence of calls the cache answers like the bare store, trusted or validated, whatever its size.
    #[test]
    fn it_answers_as_the_bare_store_does(steps in steps(), trust: bool, capacity in 1..5usize) {
        let clock = clock();
        let (bare, behind) = (TestStore::new(clock.clone()), TestStore::new(clock.clone()));
        let trusted = if trust { FOREVER } else { Duration::ZERO };
        let settings = CacheConfig::new().capacity(capacity).trusted(trusted).clock(clock.clone());
        let cache = CachedStore::with_config(behind, settings);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for step in steps {
                let used = Usage::at(&record(""), clock.now());
                let key = |key: u8| id(&key.to_string());
                match step {
                    Step::Load(name) => {
                        let (left, right) = (bare.load(&key(name)).await.unwrap(), cache.load(&key(name)).await.unwrap());
                        assert!(same(&left, &right), "{left:?} {right:?}");
                    }
                    Step::Create(name, value) => {
                        let record = record(&value.to_string());
                        let left = bare.create(&key(name), &record, used).await.unwrap();
                        assert_eq!(left, cache.create(&key(name), &record, used).await.unwrap());
                    }
                    Step::Update(name, value, present) => {
                        let record = record(&value.to_string());
                        let version = match bare.load(&key(name)).await.unwrap() {
                            Some(stored) if present => stored.version,
                            _ => Version::from_u64(0),
                        };
                        let left = bare.update(&key(name), &record, &version, used).await.unwrap();
                        assert_eq!(left, cache.update(&key(name), &record, &version, used).await.unwrap());
                    }
                    Step::Touch(name, by) => {
                        let used = Usage { expires_at: used.used_at + Duration::from_secs(by.into()), ..used };
                        let left = bare.touch(&key(name), used).await.unwrap();
                        assert_eq!(left, cache.touch(&key(name), used).await.unwrap());
                    }
                    Step::Remove(name) => {
                        assert_eq!(bare.remove(&key(name)).await.unwrap(), cache.remove(&key(name)).await.unwrap());
                    }
                    Step::Rename(from, to, value) => {
                        let Some(stored) = bare.load(&key(from)).await.unwrap() else { continue };
                        let record = record(&value.to_string());
                        let left = bare.rename(&key(from), &stored.version, &tombstone(), &key(to), &record, used).await.unwrap();
                        let right = cache.rename(&key(from), &stored.version, &tombstone(), &key(to), &record, used).await.unwrap();
                        assert_eq!(left, right);
                    }
                    Step::Clear => assert_eq!(bare.clear().await.unwrap(), cache.clear().await.unwrap()),
                    Step::Advance(by) => clock.advance(Duration::from_secs(by.into())),
                }
            }
        });
        prop_assert!(idle(&cache));
        prop_assert!(cache.statistics().sessions <= capacity);
    }
}
