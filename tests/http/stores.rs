//! The stores and wrappers that the tests run on.

use session_layer::{
    CachedStore, Clock, DynStore, EncryptedStore, FileStore, KeyRing, MemcachedStore, MemoryStore, SessionLayerBuilder,
    conformance::fault::{Bare, FaultStore},
    store::CacheConfig,
};

use crate::{memcached::Memcached, support::*};

/// The memory store with its own methods, with the provided methods alone, sealed, cached, and both sealed and cached.
/// The test controls the faults and the clock.
pub fn sites() -> Vec<(&'static str, Site)> {
    sites_with(|builder| builder)
}

/// The same sites with other settings of the layer.
pub fn sites_with(settings: impl Fn(SessionLayerBuilder) -> SessionLayerBuilder) -> Vec<(&'static str, Site)> {
    let remote = |site: &Site| site.store.clone().posing_as("remote", false);
    let cache = |site: &Site| CacheConfig::new().clock(site.clock.clone());
    let over = |name, wrap: &dyn Fn(&Site) -> DynStore| {
        let below = Site::new();
        (name, Site::over(wrap(&below), below.store.clone(), below.clock.clone(), &settings))
    };
    vec![
        over("memory", &|site| DynStore::new(site.store.clone())),
        over("provided", &|site| DynStore::new(Bare(site.store.clone()))),
        over("sealed", &|site| DynStore::new(EncryptedStore::new(site.store.clone(), ring()))),
        over("cached", &|site| DynStore::new(CachedStore::with_config(remote(site), cache(site)))),
        over("cached over sealed", &|site| {
            let sealed = EncryptedStore::new(remote(site), ring());
            DynStore::new(CachedStore::with_config(sealed, cache(site)))
        }),
    ]
}

pub fn ring() -> KeyRing {
    KeyRing::from_lines("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=").unwrap()
}

/// A site over a store of each kind as deployed, with the system's clock.
pub struct Place {
    pub name: &'static str,
    pub site: Site,
    _dir: Option<tempfile::TempDir>,
    _server: Option<Memcached>,
}

impl Place {
    fn new(
        name: &'static str,
        store: DynStore,
        settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    ) -> Self {
        let unused = FaultStore::new(MemoryStore::new());
        let site = Site::over(store, unused, Clock::system(), settings);
        Self { name, site, _dir: None, _server: None }
    }
}

/// Memory, files, memcached, files sealed, and memcached sealed and cached.
pub async fn places(settings: impl Fn(SessionLayerBuilder) -> SessionLayerBuilder) -> Vec<Place> {
    let mut places = vec![Place::new("memory", DynStore::new(MemoryStore::new()), &settings)];
    for is_sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let files = FileStore::builder(dir.path()).sweep_interval(None).open().await.unwrap();
        let server = Memcached::start(&[]);
        let remote = MemcachedStore::builder().servers([server.address()]).build().unwrap();
        let (files, remote) = if is_sealed {
            let cached = CachedStore::with_config(EncryptedStore::new(remote, ring()), CacheConfig::new());
            (DynStore::new(EncryptedStore::new(files, ring())), DynStore::new(cached))
        } else {
            (DynStore::new(files), DynStore::new(remote))
        };
        let names = if is_sealed { ("sealed files", "cached sealed memcached") } else { ("files", "memcached") };
        places.push(Place { _dir: Some(dir), ..Place::new(names.0, files, &settings) });
        places.push(Place { _server: Some(server), ..Place::new(names.1, remote, &settings) });
    }
    places
}
