//! What a list is, in a store that has none.

/// Chooses what [`ids`](crate::store::Listing::ids) and [`count`](crate::store::Listing::count) return, since memcached
/// can't list its items, and what [`sweep`](crate::store::Listing::sweep) returns, since memcached doesn't report how
/// much has expired.
///
/// It does not apply to operations that end sessions: `delete_idle`, and `clear` without
/// [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation), always fail with
/// [`Unsupported`](crate::store::StoreErrorKind::Unsupported).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListPolicy {
    /// The answer is empty, or 0.
    Ignore,
    /// The same, and an event says so at warn.
    #[default]
    Warn,
    /// The answer is an error of kind [`Unsupported`](crate::store::StoreErrorKind::Unsupported).
    Error,
}
