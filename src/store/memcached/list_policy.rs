//! What listing returns, since memcached can't list its items.

/// Chooses what [`ids`](crate::store::Listing::ids) and [`count`](crate::store::Listing::count) return, since memcached
/// can't list its items, and what [`sweep`](crate::store::Listing::sweep) returns, since memcached doesn't report how
/// much has expired.
///
/// It does not apply to operations that end sessions: `delete_idle`, and `clear` without
/// [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation), always fail with
/// [`Unsupported`](crate::store::StoreErrorKind::Unsupported).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListPolicy {
    /// Returns nothing, or 0.
    Ignore,
    /// Returns nothing, or 0, and emits an event at level warn. `sweep` emits none.
    #[default]
    Warn,
    /// Fails with [`Unsupported`](crate::store::StoreErrorKind::Unsupported). The store then has no
    /// [`Listing`](crate::store::Listing) capability.
    Error,
}
