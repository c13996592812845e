//! The conformance kit over sealed and cached stores: over each store, with one wrapper and with both in either order.

use std::{sync::Arc, time::Duration};

use session_layer::{
    CachedStore, Clock, Durability, EncryptedStore, FileStore, KeyRing, MemoryStore, Secret, SessionStore,
    conformance::{self, Harness, Operation},
    store::CacheConfig,
};

use crate::remote::Remote;

pub(crate) fn secret(first: u8) -> Secret {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(first));
    Secret::from_bytes(bytes).unwrap()
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(secret(1))
}

fn sealed<S: SessionStore>(store: S) -> EncryptedStore<S> {
    EncryptedStore::new(store, ring())
}

/// How often a race is run. The stores' own tests run them more often, and shuttle explores the cache's.
const ROUNDS: u32 = 10;

/// A cache so small that the kit's checks cause evictions. Each handle has its own cache, as in two processes.
fn cached<S: SessionStore>(store: S, clock: &Clock) -> CachedStore<S> {
    CachedStore::with_config(store, CacheConfig::new().capacity(64).clock(clock.clone()))
}

/// Two handles on one memory store that hides that it is in memory.
fn memory(clock: &Clock) -> Harness {
    let store = Remote(MemoryStore::with_clock(clock.clone()));
    Harness::new(store.clone(), clock.clone()).expects_all().twin(store).refuses(9 << 20).rounds(ROUNDS)
}

/// Two handles on one directory.
async fn file(clock: &Clock) -> Harness {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let builder = FileStore::builder(dir.path()).clock(clock.clone());
        builder.durability(Durability::None).sweep_interval(None).open()
    };
    let (store, twin) = (open().await.unwrap(), open().await.unwrap());
    Harness::new(store, clock.clone()).expects_all().twin(twin).rounds(ROUNDS).keep(dir)
}

macro_rules! kit {
    ($($name:ident: |$clock:ident| $harness:expr;)*) => {
        $(mod $name {
            use super::*;

            async fn open() -> Harness {
                let $clock = &conformance::manual_clock();
                $harness
            }

            session_layer::conformance::tests!(open);
        })*
    };
}

kit! {
    sealed_memory: |clock| memory(clock).wrap(sealed);
    cached_memory: |clock| memory(clock).wrap(|store| cached(store, clock));
    cached_sealed_memory: |clock| memory(clock).wrap(|store| cached(sealed(store), clock));
    sealed_cached_memory: |clock| memory(clock).wrap(|store| sealed(cached(store, clock)));
    sealed_file: |clock| file(clock).await.wrap(sealed);
    cached_file: |clock| file(clock).await.wrap(|store| cached(store, clock));
    cached_sealed_file: |clock| file(clock).await.wrap(|store| cached(sealed(store), clock));
    sealed_cached_file: |clock| file(clock).await.wrap(|store| sealed(cached(store, clock)));
    // Trusted without a limit, so that only the cache's own coherence keeps it correct. The twin shares the cache,
    // since a separate cache would be another process's.
    trusting_memory: |clock| {
        let settings = CacheConfig::new().capacity(64).trusted(Duration::from_secs(1 << 30)).clock(clock.clone());
        let store = CachedStore::with_config(Remote(MemoryStore::with_clock(clock.clone())), settings);
        Harness::new(store.clone(), clock.clone()).expects_all().twin(store).refuses(9 << 20)
    };
}

/// The sealing calls some methods under several names, and the cache answers loads itself.
#[tokio::test]
async fn every_method_is_forwarded() {
    let clock = conformance::manual_clock();
    let inner = || Remote(MemoryStore::with_clock(clock.clone()));
    conformance::forwarding(inner(), &clock, sealed).await.assert_all_but(&[]);
    let itself = [Operation::Load];
    conformance::forwarding(inner(), &clock, |store| cached(store, &clock)).await.assert_all_but(&itself);
    conformance::forwarding(inner(), &clock, |store| cached(sealed(store), &clock)).await.assert_all_but(&itself);
    // The cache steps aside for a store in memory, wrapped or not.
    let inner = MemoryStore::with_clock(clock.clone());
    let aside = cached(sealed(inner.clone()), &clock);
    assert!(aside.in_memory() && sealed(cached(inner, &clock)).in_memory());
    assert!(format!("{aside:?}").contains("statistics: None"));
}

/// memcached's clock can't be moved, so the kit really waits, and many checks run at once.
#[cfg(unix)]
mod memcached {
    use session_layer::{MemcachedStore, store::ListPolicy};
    use tokio::{sync::Semaphore, task::JoinSet};

    use super::*;
    use crate::server::Memcached;

    fn harness() -> Harness {
        let server = Memcached::start(&[]);
        let limit = Duration::from_secs(5);
        let builder = MemcachedStore::builder().servers([server.address()]).list_policy(ListPolicy::Error);
        let builder = builder.connect_timeout(limit).request_timeout(limit);
        Harness::new(builder.clone().build().unwrap(), Clock::system())
            .twin(builder.build().unwrap())
            .expects([Operation::ListOwner, Operation::Acquire, Operation::Release, Operation::Metadata])
            .unit(Duration::from_secs(1))
            .late_by(Duration::from_millis(2_500))
            .refuses(1_048_576)
            .rounds(ROUNDS)
            .keep(server)
    }

    async fn run(wrap: impl Fn(Harness) -> Harness) {
        let (mut running, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(24)));
        for check in conformance::checks() {
            let permit = Arc::clone(&at_once).acquire_owned().await.unwrap();
            let harness = wrap(harness());
            running.spawn(async move {
                let outcome = check.run(harness).await;
                drop(permit);
                outcome
            });
        }
        let outcomes = running.join_all().await;
        assert_eq!(outcomes.len(), conformance::checks().len());
        let failures: Vec<_> =
            outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sealed_memcached_passes_the_kit() {
        run(|harness| harness.wrap(sealed)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cached_memcached_passes_the_kit() {
        run(|harness| harness.wrap(|store| cached(store, &Clock::system()))).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cached_sealed_memcached_passes_the_kit() {
        run(|harness| harness.wrap(|store| cached(sealed(store), &Clock::system()))).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sealed_cached_memcached_passes_the_kit() {
        run(|harness| harness.wrap(|store| sealed(cached(store, &Clock::system())))).await;
    }
}
