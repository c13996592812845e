//! The settings of one layer: plain data.

use std::{any::Any, sync::Arc, time::Duration};

use super::policy::{ConflictPolicy, DamagedPolicy, OwnerLimit, SaveIf, SavePolicy};
use crate::{codec::Codec, cookie::SessionCookie, lifetime::Lifetime, store::Idle};

/// The settings of one layer, chosen once, when the layer is built.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) codec: Codec,
    pub(crate) lifetime: Lifetime,
    /// The fraction of the idle timeout that must pass before a read extends the session.
    pub(crate) touch_fraction: f64,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) save: SavePolicy,
    pub(crate) damaged: DamagedPolicy,
    /// Decides whether the changes of a request are saved, given its response.
    pub(crate) save_if: SaveIf,
    /// The maximum size of a record, in bytes of its encoded form.
    pub(crate) max_record_bytes: usize,
    /// How long a commit is tried again after conflicts.
    pub(crate) retry_for: Duration,
    pub(crate) cookie: SessionCookie,
    /// Whether responses say how they may be cached.
    pub(crate) cache_headers: bool,
    /// The application's response to errors: a `CustomErrorResponse` with any body type.
    pub(crate) error_response: Option<Arc<dyn Any + Send + Sync>>,
    /// The caller holds the lease of the session that it opens.
    pub(crate) holds_lease: bool,
    /// How long a request with the token from before a renewal is served.
    pub(crate) renewal_grace: Duration,
    /// The age at which the layer renews a token, or `None` if it doesn't.
    pub(crate) renew_every: Option<Duration>,
    /// Requests of one session run one after another.
    pub(crate) exclusive: Option<ExclusiveTimes>,
    /// The maximum number of sessions per owner, if there is one.
    pub(crate) sessions_per_owner: Option<OwnerLimit>,
}

/// How long the requests of one session wait for its lease, and how long they have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExclusiveTimes {
    /// How long a request waits for the lease.
    pub(crate) wait: Duration,
    /// For how long a lease is taken.
    pub(crate) lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            codec: Codec::Json,
            lifetime: Lifetime::default(),
            touch_fraction: Idle::DEFAULT_TOUCH_FRACTION,
            conflicts: ConflictPolicy::default(),
            save: SavePolicy::default(),
            damaged: DamagedPolicy::default(),
            save_if: SaveIf::default(),
            max_record_bytes: 128 * 1_024,
            retry_for: Duration::from_secs(5),
            cookie: SessionCookie::default(),
            cache_headers: true,
            error_response: None,
            holds_lease: false,
            renewal_grace: Duration::from_secs(60),
            renew_every: None,
            exclusive: None,
            sessions_per_owner: None,
        }
    }
}

impl Settings {
    /// Returns the settings for a holder of the session's lease. A conflict at a commit is then an error: either the
    /// lease has expired, or somebody has written without taking it.
    pub(crate) fn of_a_lease_holder(&self) -> Self {
        Self {
            conflicts: ConflictPolicy::Reject,
            holds_lease: true,
            renew_every: None,
            exclusive: None,
            ..self.clone()
        }
    }
}
