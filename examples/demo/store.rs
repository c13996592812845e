//! The store, as the command line asks for it.

use session_layer::{CacheSettings, CachedStore, DynStore, EncryptedStore, KeyRing};

use crate::{args::Args, failure::Failure};

/// Opens the store, seals its records if there are secrets, and puts the cache in front.
pub(crate) async fn open(args: &Args, ring: Option<&KeyRing>) -> Result<DynStore, Failure> {
    let mut store = session_layer::connect(&args.store).await.map_err(Failure::Store)?;
    if let Some(ring) = ring {
        store = DynStore::new(EncryptedStore::new(store, ring.clone()));
    }
    if let Some(sessions) = args.cache {
        // In front of the sealing, so that what is cached is opened once.
        store = DynStore::new(CachedStore::with_settings(store, CacheSettings::new().capacity(sessions.get())));
    }
    Ok(store)
}

/// The key ring of the secret file, if there is one.
pub(crate) fn ring(args: &Args) -> Result<Option<KeyRing>, Failure> {
    let ring = args.secret_file.as_ref().map(KeyRing::from_file);
    ring.transpose().map_err(Failure::Secret)
}
