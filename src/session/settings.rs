//! How the sessions of one layer behave.

use std::{sync::atomic::AtomicBool, time::Duration};

use super::{limit::Limit, queue::CommitQueue, turn::Exclusive};
use crate::{clock::Clock, codec::Codec, cookie::Cookie, lifetime::Lifetime, store::DynStore};

/// What happens when another request changed the session between this one's load and its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// The request's changes are replayed on the newer record, key by key; `update` closures run again. No update is
    /// lost.
    #[default]
    Merge,
    /// The commit fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), and the answer is 409.
    Reject,
    /// The request's view of the whole session replaces the newer record: **what others wrote meanwhile is lost.** A
    /// session that is gone stays gone all the same.
    LastWriteWins,
}

/// When a session that exists is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SavePolicy {
    /// When its data has changed.
    #[default]
    Changed,
    /// At the end of each request that extracted it, changed or not. This costs a write where a touch would do.
    Always,
}

/// What happens when the record of a visitor's session is damaged, or no key opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DamagedPolicy {
    /// The extractor answers 500 and the record stays as it is, so that it can be looked into and repaired.
    #[default]
    Fail,
    /// The visitor starts over with an empty session, which gets a new id once it is written to: **what the damaged
    /// record held is out of the visitor's reach.** The record itself stays as it is until it expires.
    StartOver,
}

/// Everything that a layer's sessions and its requests ask it.
///
/// Apart from the counter of its `Arc`, which every request moves: else each thread's requests would take what all read out
/// of the others' caches.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Settings {
    pub(crate) store: DynStore,
    /// Who is told what happens.
    pub(crate) observers: crate::events::Observers,
    pub(crate) clock: Clock,
    pub(crate) codec: Codec,
    pub(crate) lifetime: Lifetime,
    /// A touch is due once this part of the idle time has passed.
    pub(crate) touch_after: f64,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) save: SavePolicy,
    pub(crate) damaged: DamagedPolicy,
    pub(crate) save_on_server_error: bool,
    /// The largest record, in bytes of its wire form.
    pub(crate) max_record: usize,
    /// How long a commit that meets conflicts is tried again.
    pub(crate) retry_for: Duration,
    pub(crate) cookie: Cookie,
    /// Whether responses say how far they may be cached.
    pub(crate) cache_headers: bool,
    /// The complaint about a layer nested under its own name was made.
    pub(crate) nested: AtomicBool,
    pub(crate) queue: CommitQueue,
    /// Requests of one session run one after another.
    pub(crate) exclusive: Option<Exclusive>,
    /// How many sessions an owner can have.
    pub(crate) limit: Option<Limit>,
}

impl Settings {
    /// The defaults over this store.
    pub(crate) fn new(store: DynStore) -> Self {
        Self {
            store,
            observers: crate::events::Observers::NONE,
            clock: Clock::system(),
            codec: Codec::Json,
            lifetime: Lifetime::default(),
            touch_after: 0.1,
            conflicts: ConflictPolicy::default(),
            save: SavePolicy::default(),
            damaged: DamagedPolicy::default(),
            save_on_server_error: false,
            max_record: 128 * 1_024,
            retry_for: Duration::from_secs(5),
            cookie: Cookie::default(),
            cache_headers: true,
            nested: AtomicBool::new(false),
            queue: CommitQueue::default(),
            exclusive: None,
            limit: None,
        }
    }
    /// The same, but a commit that meets a conflict fails.
    pub(crate) fn rejecting(&self) -> Self {
        Self {
            store: self.store.clone(),
            observers: self.observers.clone(),
            clock: self.clock.clone(),
            codec: self.codec.clone(),
            lifetime: self.lifetime,
            touch_after: self.touch_after,
            conflicts: ConflictPolicy::Reject,
            save: self.save,
            damaged: self.damaged,
            save_on_server_error: self.save_on_server_error,
            max_record: self.max_record,
            retry_for: self.retry_for,
            cookie: self.cookie.clone(),
            cache_headers: self.cache_headers,
            nested: AtomicBool::new(false),
            // Who does not retry does not queue.
            queue: CommitQueue::default(),
            exclusive: None,
            limit: self.limit,
        }
    }
}
