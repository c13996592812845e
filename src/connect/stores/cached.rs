//! `cache=N`.

use super::observer::StoreObserver;
use crate::store::{CacheConfig, CachedStore, DynStore, SessionStore};

/// Puts a cache in front of the store if the URL asks for one.
pub(super) fn cached(sessions: Option<usize>, store: impl SessionStore, observer: StoreObserver) -> DynStore {
    match sessions {
        Some(sessions) => {
            let settings = CacheConfig::new().capacity(sessions);
            let settings = observer.into_iter().fold(settings, CacheConfig::observe);
            DynStore::new(CachedStore::with_config(store, settings))
        }
        None => DynStore::new(store),
    }
}
