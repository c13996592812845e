//! The settings that the store itself looks at.

use crate::clock::Clock;

/// Chooses what [`ids`](crate::SessionStore::ids) and [`count`](crate::SessionStore::count) return, since memcached
/// can't list its items, and what [`sweep`](crate::SessionStore::sweep) returns, since memcached doesn't report how
/// much has expired.
///
/// It does not apply to operations that end sessions: `delete_idle`, and `clear` without
/// [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation), always fail with
/// [`Unsupported`](crate::StoreErrorKind::Unsupported).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListPolicy {
    /// The answer is empty, or 0.
    Ignore,
    /// The same, and an event says so at warn.
    #[default]
    Warn,
    /// The answer is an error of kind [`Unsupported`](crate::StoreErrorKind::Unsupported).
    Error,
}

/// The settings that the client does not need.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) last_write_wins: bool,
    pub(super) list_policy: ListPolicy,
    pub(super) clear_by_generation: bool,
    pub(super) list_owners: bool,
    pub(super) clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            last_write_wins: false,
            list_policy: ListPolicy::default(),
            clear_by_generation: false,
            list_owners: true,
            clock: Clock::system(),
        }
    }
}
