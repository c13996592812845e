//! Whether a loaded record is still the stored one.

use std::{fmt, sync::Arc};

/// Tells whether a loaded record is still the stored one, as far as the store knows without asking its backend.
///
/// A store whose backend reports changes attaches a `Tracked` to the records that it loads
/// ([`Stored::with_tracked`](super::Stored::with_tracked)). A [`CachedStore`](crate::CachedStore) then serves the
/// record without a call to the store, for as long as it is current.
#[derive(Clone)]
pub struct Tracked(Arc<dyn Fn() -> bool + Send + Sync>);

impl Tracked {
    /// Creates one from this function, which returns whether the record is current. It must not block. Once it has
    /// returned `false`, it must not return `true` again if the record may have changed.
    pub fn new(is_current: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_current))
    }

    /// Returns whether the record is current: no change is known since it was loaded.
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
