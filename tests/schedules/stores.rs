//! The stores under the schedules.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use session_layer::{
    CachedStore, Clock, Durability, DynStore, EncryptedStore, FileStore, KeyRing, MemcachedStore, MemoryStore, Secret,
    SessionStore, conformance::fault::Bare, store::CacheConfig,
};
use tempfile::TempDir;

#[cfg(feature = "redis")]
use crate::redis::{Product, Server};
use crate::{
    gate::{Gated, Gates},
    memcached::Memcached,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Memory,
    File,
    Memcached,
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "it needs the feature"))]
    Redis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapper {
    Plain,
    Sealed,
    Cached,
    /// Answers some of the calls at once.
    AtOnce,
}

/// One kind of store: a base, with its own `rename` or with the provided one, and its wrappers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) base: Base,
    pub(crate) wrapper: Wrapper,
    pub(crate) is_bare: bool,
}

/// A store of some kind.
pub(crate) struct Below {
    kind: Kind,
    base: DynStore,
    /// The layer's store without gates and cache, but with the seal.
    pub(crate) seen: DynStore,
    clock: Clock,
    _dir: Option<TempDir>,
    _server: Option<Running>,
}

/// The server of a store.
enum Running {
    Memcached(#[allow(dead_code, reason = "dropped at the end")] Memcached),
    #[cfg(feature = "redis")]
    Redis(#[allow(dead_code, reason = "dropped at the end")] Server),
}

impl Kind {
    pub(crate) fn all(base: Base) -> impl Iterator<Item = Self> {
        let awaited = [Wrapper::Plain, Wrapper::Sealed, Wrapper::Cached]
            .into_iter()
            .flat_map(move |wrapper| [false, true].map(|is_bare| Self { base, wrapper, is_bare }));
        let at_once = Self { base, wrapper: Wrapper::AtOnce, is_bare: false };
        (base == Base::Memory).then_some(at_once).into_iter().chain(awaited)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rename = if self.is_bare { "the provided rename" } else { "its own rename" };
        write!(f, "{:?}, {:?}, {rename}", self.base, self.wrapper)
    }
}

fn ring() -> KeyRing {
    KeyRing::new(Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| (i as u8).wrapping_mul(37))).unwrap())
}

impl Below {
    pub(crate) async fn open(kind: Kind) -> Self {
        let clock = match kind.base {
            // They use their servers' time.
            Base::Memcached | Base::Redis => Clock::system(),
            Base::Memory | Base::File => Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
        };
        let (mut dir, mut server) = (None, None);
        let base = match kind.base {
            Base::Memory => DynStore::new(MemoryStore::with_clock(clock.clone())),
            Base::File => {
                let path = dir.insert(tempfile::tempdir().unwrap()).path();
                let store = FileStore::builder(path).clock(clock.clone()).sweep_interval(None);
                DynStore::new(store.durability(Durability::None).open().await.unwrap())
            }
            Base::Memcached => {
                let started = Memcached::start_on_socket(&["-m", "256"]);
                // More than a busy machine needs, so that failures come only from the schedule.
                let limit = Duration::from_secs(30);
                let store = MemcachedStore::builder().servers([started.address()]);
                server = Some(Running::Memcached(started));
                DynStore::new(store.connect_timeout(limit).request_timeout(limit).build().unwrap())
            }
            #[cfg(feature = "redis")]
            Base::Redis => {
                let started = Server::start(Product::Redis, &[]);
                let limit = Duration::from_secs(30);
                let store = session_layer::RedisStore::builder().server(started.socket().display().to_string());
                server = Some(Running::Redis(started));
                DynStore::new(store.connect_timeout(limit).request_timeout(limit).build().unwrap())
            }
            #[cfg(not(feature = "redis"))]
            Base::Redis => unreachable!("its test needs the feature"),
        };
        let plain = if kind.is_bare { DynStore::new(Bare(base.clone())) } else { base.clone() };
        let seen = match kind.wrapper {
            Wrapper::Sealed => DynStore::new(EncryptedStore::new(plain, ring())),
            Wrapper::Plain | Wrapper::Cached | Wrapper::AtOnce => plain,
        };
        Self { kind, base, seen, clock, _dir: dir, _server: server }
    }

    /// The store that a layer uses.
    pub(crate) fn stack(&self, gates: &Arc<Gates>) -> DynStore {
        let is_at_once = self.kind.wrapper == Wrapper::AtOnce;
        let gated = Gated { inner: self.base.clone(), gates: Arc::clone(gates), is_at_once };
        let store = if self.kind.is_bare { DynStore::new(Bare(gated)) } else { DynStore::new(gated) };
        match self.kind.wrapper {
            Wrapper::Plain | Wrapper::AtOnce => store,
            Wrapper::Sealed => DynStore::new(EncryptedStore::new(store, ring())),
            Wrapper::Cached => {
                let settings = CacheConfig::new().capacity(64).clock(self.clock.clone());
                DynStore::new(CachedStore::with_config(store, settings))
            }
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The owners in this schedule.
    pub(crate) fn owners(&self, seed: u64) -> [&'static str; 2] {
        match self.kind.base {
            Base::Memory | Base::File | Base::Redis => ["bob", "ann"],
            // memcached can't be cleared.
            Base::Memcached => [format!("bob {seed}").leak(), format!("ann {seed}").leak()],
        }
    }

    /// Removes the sessions of earlier schedules if the store can do so.
    pub(crate) async fn clear(&self) {
        // Otherwise they expire or are evicted.
        if let Some(clearing) = self.base.clearing() {
            clearing.clear().await.unwrap();
        }
    }
}
