//! The sessions that a request deals with, as it has seen them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::changes::TokenChange;
use crate::{
    clock::to_millis as millis,
    id::{SessionId, SessionToken, TokenCheck},
    record::{Owner, Record},
    store::{StoreError, Stored, Update, Usage, Version},
};

/// What the request's cookie led to, as of the last load or commit.
#[derive(Debug, Clone, Default)]
pub(crate) enum Origin {
    /// No session: none was there, it is not live, or this request destroyed it.
    #[default]
    None,
    Live(Live),
    /// The token was replaced by a newer one.
    Superseded {
        id: SessionId,
        /// A renewal left the tombstone, so ending the session follows it to the new id.
        is_linked: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) stored: Stored,
    /// The request came with the token from before a renewal.
    pub(crate) is_forwarded: bool,
    pub(crate) loaded: Moment,
}

/// A moment by two clocks: the monotonic clock, and the layer's clock, which can be set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    instant: Instant,
    time: SystemTime,
}

/// A session that the request ends.
#[derive(Debug, Clone)]
pub(crate) struct Doomed {
    pub(crate) id: SessionId,
    /// The session as the request has seen it, if it was opened.
    pub(crate) live: Option<Live>,
}

/// Sessions that the handler has ended by owner or id, not through its session.
#[derive(Debug, Clone)]
pub(crate) enum EndedBeside {
    /// The requested id, and the id at which the session was found: a renewal may have moved it.
    Session([SessionId; 2]),
    /// All sessions of an owner except the one that was kept, which has either of these ids.
    Owner {
        name: Arc<str>,
        kept: Option<[SessionId; 2]>,
    },
    All,
}

/// A move to a new token that was sent and not answered. It may have happened, or may still happen.
///
/// If it has happened, the session is stored under a token that nobody has received. The next `save` must find it
/// there. Otherwise a renewal would succeed without a cookie, and a login would begin another session without the
/// visitor's data.
#[derive(Debug)]
pub(crate) struct Unsure {
    pub(crate) from: SessionId,
    /// No other write leaves this tombstone: it contains random bytes.
    pub(crate) tombstone: Arc<Record>,
    pub(crate) to: SessionId,
    pub(crate) check: TokenCheck,
    pub(crate) token: SessionToken,
    pub(crate) token_change: TokenChange,
    /// Whether reading the store's state can settle the outcome. It can't if too few replicas have confirmed the move,
    /// since a failover may still undo it.
    pub(crate) is_settled_by_reading: bool,
}

/// An update that was made at once and that the store has refused, or failed to make. The ordinary commit begins with the answer instead of
/// making the update again.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) id: SessionId,
    /// The version that the update named.
    pub(crate) expected: Version,
    /// `Conflict`, `Gone` or an error.
    pub(crate) answer: Result<Update, StoreError>,
}

impl Refused {
    /// Whether this was an update of the session as it is here. It was not if another commit of the request has come in
    /// between.
    pub(super) fn is_about(&self, live: &Live) -> bool {
        self.id == live.id && self.expected == live.stored.version
    }
}

impl Moment {
    pub(crate) fn new(time: SystemTime) -> Self {
        Self { instant: Instant::now(), time }
    }

    /// Whether less than this time has passed, by both clocks.
    pub(crate) fn is_within(&self, time: Duration, now: SystemTime) -> bool {
        self.instant.elapsed() < time && now.duration_since(self.time).is_ok_and(|passed| passed < time)
    }
}

impl Live {
    /// Whether the session has this owner, or none if this is none.
    pub(super) fn is_owned_by(&self, owner: Option<&Arc<str>>) -> bool {
        self.stored.record.owner().map(Owner::name) == owner
    }

    /// Returns the times to store with this record of the session when this request uses it.
    pub(crate) fn usage(&self, record: &Record, now: SystemTime) -> Usage {
        let mut usage = Usage::at(record, now);
        if self.is_forwarded {
            // No request has presented the new token yet, so no use of it is recorded.
            usage.used_at = self.stored.used_at;
        }
        usage
    }

    /// Whether no request has presented the token of the last renewal yet, that is, no use has been recorded since.
    /// Requests with the old token record no use.
    ///
    /// If the clock was set back since the renewal, no use can be recorded after it. Then the token counts as
    /// presented, so that readers don't try again and again to record a use.
    pub(crate) fn is_unpresented(&self, now: SystemTime) -> bool {
        let renewed = self.stored.record.renewed_millis();
        renewed.is_some_and(|renewed| millis(self.stored.used_at) <= renewed && renewed <= millis(now))
    }
}

impl Origin {
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::None => None,
            Self::Live(live) => Some(live.id),
            Self::Superseded { id, .. } => Some(*id),
        }
    }
}

impl EndedBeside {
    /// Whether this session is one of those that were ended.
    pub(crate) fn covers(&self, live: &Live) -> bool {
        match self {
            Self::Session(ids) => ids.contains(&live.id),
            Self::Owner { name, kept } => {
                let owner = live.stored.record.owner().map(Owner::name);
                owner == Some(name) && !kept.is_some_and(|kept| kept.contains(&live.id))
            }
            Self::All => true,
        }
    }
}
