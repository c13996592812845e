//! The kit over sealed and cached stores, in every order.

use std::time::Duration;

use session_layer::{
    CacheSettings, CachedStore, Clock, EncryptedStore, KeyRing, MemoryStore, Secret, SessionStore,
    conformance::{self, Harness},
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

/// Small enough that the kit's checks evict.
fn cached<S: SessionStore>(store: S, clock: Clock) -> CachedStore<S> {
    CachedStore::with_settings(store, CacheSettings::new().capacity(64).clock(clock))
}

/// Trusted for ever: only the cache's own coherence keeps it right. One handle, since another would be another process.
fn trusting<S: SessionStore>(store: S, clock: Clock) -> CachedStore<S> {
    let settings = CacheSettings::new().capacity(64).trusted(Duration::from_secs(1 << 30)).clock(clock);
    CachedStore::with_settings(store, settings)
}

macro_rules! kit {
    ($($name:ident: |$store:ident, $clock:ident| $wrapped:expr;)*) => {
        $(mod $name {
            use super::*;

            async fn open() -> Harness {
                let $clock = conformance::manual_clock();
                // Two processes on one store.
                let memory = MemoryStore::with_clock($clock.clone());
                let open = || {
                    let $store = Remote(memory.clone());
                    let $clock = &$clock;
                    $wrapped
                };
                Harness::new(open(), $clock.clone()).twin(open())
            }

            session_layer::conformance::tests!(open);
        })*
    };
}

kit! {
    sealed_memory: |store, _clock| sealed(store.0);
    sealed_twice: |store, _clock| sealed(sealed(store));
    cached_memory: |store, clock| cached(store, clock.clone());
    cached_sealed: |store, clock| cached(sealed(store), clock.clone());
    sealed_cached: |store, clock| sealed(cached(store, clock.clone()));
    cached_twice: |store, clock| cached(cached(store, clock.clone()), clock.clone());
}

mod trusted {
    use super::*;

    async fn open() -> Harness {
        let clock = conformance::manual_clock();
        Harness::new(trusting(Remote(MemoryStore::with_clock(clock.clone())), clock.clone()), clock)
    }

    session_layer::conformance::tests!(open);
}
