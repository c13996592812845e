//! The settings of one layer: plain data.

use std::time::Duration;

use super::policy::{ConflictPolicy, DamagedPolicy, Limit, SaveIf, SavePolicy};
use crate::{codec::Codec, cookie::Cookie, lifetime::Lifetime, store::Idle};

/// How the sessions of one layer behave. Chosen once, when the layer is built.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) codec: Codec,
    pub(crate) lifetime: Lifetime,
    /// A touch is due once this part of the idle time has passed.
    pub(crate) touch_after: f64,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) save: SavePolicy,
    pub(crate) damaged: DamagedPolicy,
    /// Whether a response lets the changes of its request be saved.
    pub(crate) save_if: SaveIf,
    /// The largest record, in bytes of its wire form.
    pub(crate) max_record: usize,
    /// How long a commit that meets conflicts is tried again.
    pub(crate) retry_for: Duration,
    pub(crate) cookie: Cookie,
    /// Whether responses say how far they may be cached.
    pub(crate) cache_headers: bool,
    /// The caller holds the lease of the session that it opens.
    pub(crate) holds_lease: bool,
    /// How long a request with the token from before a renewal is served.
    pub(crate) renewal_grace: Duration,
    /// How old a token gets before the layer renews it; `None` if it doesn't.
    pub(crate) renew_every: Option<Duration>,
    /// Requests of one session run one after another.
    pub(crate) exclusive: Option<Exclusive>,
    /// How many sessions an owner can have.
    pub(crate) limit: Option<Limit>,
}

/// How requests of one session run one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exclusive {
    /// How long a request waits for its turn.
    pub(crate) wait: Duration,
    /// How long a lease is asked for.
    pub(crate) lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            codec: Codec::Json,
            lifetime: Lifetime::default(),
            touch_after: Idle::DEFAULT_TOUCH_AFTER,
            conflicts: ConflictPolicy::default(),
            save: SavePolicy::default(),
            damaged: DamagedPolicy::default(),
            save_if: SaveIf::default(),
            max_record: 128 * 1_024,
            retry_for: Duration::from_secs(5),
            cookie: Cookie::default(),
            cache_headers: true,
            holds_lease: false,
            renewal_grace: Duration::from_secs(60),
            renew_every: None,
            exclusive: None,
            limit: None,
        }
    }
}

impl Settings {
    /// The settings for a holder of the session's lease. A conflict at a commit is then an error: the lease has run out,
    /// or somebody has not asked for it.
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
