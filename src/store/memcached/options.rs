//! The settings of the store that the client does not need.

use super::list_policy::ListPolicy;
use crate::clock::Clock;

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
