//! Whether a record that was loaded is still the one that is stored.

use std::{fmt, sync::Arc};

/// Tells whether a record that was loaded is still the stored one, as far as the store knows without asking its backend.
///
/// A store whose backend reports changes adds one to the records that it loads
/// ([`Stored::with_tracked`](super::Stored::with_tracked)). A [`CachedStore`](crate::CachedStore) then serves the record
/// without asking the store, for as long as it is current.
#[derive(Clone)]
pub struct Tracked(Arc<dyn Fn() -> bool + Send + Sync>);

impl Tracked {
    /// Creates one that calls this function, which must not block. Once it has returned `false`, it must not return
    /// `true` again if the record may have changed.
    pub fn new(is_current: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_current))
    }

    /// Whether nothing is known to have changed the record since it was loaded.
    #[must_use]
    pub fn is_current(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("is_current", &self.is_current()).finish()
    }
}
