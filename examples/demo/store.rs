//! Opens the store that the command line names.

use session_layer::{CachedStore, DynStore, EncryptedStore, KeyRing, MetricsObserver, store::CacheConfig};

use crate::{args::Args, failure::Failure};

/// Opens the store, seals its records if there are secrets, and puts the cache in front. Their own events are measured
/// as well.
pub(crate) async fn open(args: &Args, ring: Option<&KeyRing>, metrics: MetricsObserver) -> Result<DynStore, Failure> {
    let mut store = session_layer::connect_observed(&args.store, metrics).await.map_err(Failure::Store)?;
    if let Some(ring) = ring {
        store = DynStore::new(EncryptedStore::new(store, ring.clone()).observe(metrics));
    }
    if let Some(sessions) = args.cache {
        // In front of the sealing, so that a cached record is opened only once.
        let settings = CacheConfig::new().capacity(sessions.get()).observe(metrics);
        store = DynStore::new(CachedStore::with_config(store, settings));
    }
    Ok(store)
}

/// Reads the key ring of the secret file, if there is one.
pub(crate) fn ring(args: &Args) -> Result<Option<KeyRing>, Failure> {
    let ring = args.secret_file.as_ref().map(KeyRing::from_file);
    ring.transpose().map_err(Failure::Secret)
}
