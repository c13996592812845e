//! The times of [`exclusive`](super::SessionLayerBuilder::exclusive), as they were given.

use std::time::Duration;

use crate::{
    cookie::ConfigError,
    session::{ConflictPolicy, ExclusiveTimes},
    store::{DynStore, SessionStore},
};

/// How long a request waits for the session's lease, and how long it has it. `None` if not set.
#[derive(Debug, Default)]
pub(super) struct GivenTimes {
    pub(super) wait: Option<Duration>,
    pub(super) lease: Option<Duration>,
}

impl GivenTimes {
    /// The default time of a lease. It is also the longest that the memory store grants by default.
    const LEASE: Duration = Duration::from_secs(30);

    /// Returns the times of the setting, if it is on. Fails if it contradicts itself, other settings or the store.
    pub(super) fn checked(
        self,
        conflicts: ConflictPolicy,
        store: &DynStore,
    ) -> Result<Option<ExclusiveTimes>, ConfigError> {
        match (self.wait, self.lease) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::new(
                "exclusive_lease has no effect without `exclusive(wait)`: add that, or leave exclusive_lease out",
            )),
            (Some(_), Some(lease)) if lease < Duration::from_millis(1) => {
                Err(ConfigError::new(format!("exclusive_lease is {lease:?}: it must be at least 1 ms")))
            }
            // A job or a stream takes no lease, and its save would overwrite what the request whose turn it is has
            // saved.
            (Some(_), _) if conflicts == ConflictPolicy::LastWriteWins => Err(ConfigError::new(
                "exclusive contradicts ConflictPolicy::LastWriteWins: the request whose turn it is must not be overwritten",
            )),
            (Some(_), _) if store.overwrites() => Err(ConfigError::new(format!(
                "exclusive contradicts the store {}, in which the last write wins: a request that took too long would \
                 overwrite what the next one saved. Turn `last_write_wins` off, or leave `exclusive` out",
                store.name()
            ))),
            (Some(_), _) if store.leases().is_none() => Err(ConfigError::new(format!(
                "exclusive needs leases, and the store {} has none: choose a store with `leases`, or leave `exclusive` out",
                store.name()
            ))),
            (Some(wait), lease) => Ok(Some(ExclusiveTimes { wait, lease: lease.unwrap_or(Self::LEASE) })),
        }
    }
}
