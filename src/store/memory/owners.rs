//! The index of each owner's sessions.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::sync::{Apart, Mutex, MutexGuard, lock};
use crate::{id::SessionId, record::Record};

/// The ids of each owner's sessions, live or not yet swept.
///
/// Its locks are the innermost ones: they are taken under a shard's lock, and no lock is taken under them. So the index
/// changes in the same step as the session.
#[derive(Debug)]
pub(super) struct Owners {
    parts: Box<[Apart<Mutex<Part>>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Part {
    sessions: HashMap<Arc<str>, Sessions>,
    /// The number of changes to this part.
    changes: u64,
}

/// An owner's sessions. Most owners have one.
#[allow(clippy::box_collection, reason = "the set is the rare case, and would make every entry three times as large")]
#[derive(Debug)]
enum Sessions {
    One(SessionId),
    Many(Box<HashSet<SessionId>>),
}

impl Owners {
    pub(super) fn new(parts: usize) -> Self {
        Self { parts: (0..parts).map(|_| Apart(Mutex::new(Part::default()))).collect(), hasher: RandomState::new() }
    }

    fn part(&self, owner: &str) -> MutexGuard<'_, Part> {
        let hash = self.hasher.hash_one(owner);
        lock(&self.parts[(hash % self.parts.len() as u64) as usize])
    }

    /// Adds a session, if the record is a session with an owner.
    pub(super) fn add(&self, id: SessionId, record: &Record) {
        let Some(owner) = record.owner().filter(|_| record.is_session()) else { return };
        let mut part = self.part(owner.name());
        part.changes += 1;
        match part.sessions.get_mut(&**owner.name()) {
            None => {
                part.sessions.insert(Arc::clone(owner.name()), Sessions::One(id));
            }
            Some(Sessions::Many(ids)) => {
                ids.insert(id);
            }
            Some(one @ Sessions::One(_)) => {
                let Sessions::One(first) = *one else { return };
                *one = Sessions::Many(Box::new(HashSet::from([first, id])));
            }
        }
    }

    /// Removes a session, if the record is a session with an owner.
    pub(super) fn forget(&self, id: &SessionId, record: &Record) {
        let Some(owner) = record.owner().filter(|_| record.is_session()) else { return };
        let mut part = self.part(owner.name());
        part.changes += 1;
        let last = match part.sessions.get_mut(&**owner.name()) {
            None => false,
            Some(Sessions::One(one)) => one == id,
            Some(Sessions::Many(ids)) => {
                ids.remove(id);
                ids.is_empty()
            }
        };
        if last {
            part.sessions.remove(&**owner.name());
        }
    }

    /// Whether the owner has a session.
    pub(super) fn has_any(&self, owner: &str) -> bool {
        self.part(owner).sessions.contains_key(owner)
    }

    /// Returns the ids of an owner's sessions, and a number that will differ after any later change to them.
    pub(super) fn ids(&self, owner: &str) -> (Vec<SessionId>, u64) {
        let part = self.part(owner);
        let ids = match part.sessions.get(owner) {
            None => Vec::new(),
            Some(Sessions::One(id)) => vec![*id],
            Some(Sessions::Many(ids)) => ids.iter().copied().collect(),
        };
        (ids, part.changes)
    }

    /// The number that [`ids`](Self::ids) returns.
    pub(super) fn changes(&self, owner: &str) -> u64 {
        self.part(owner).changes
    }

    /// Removes everything. The caller holds every shard's lock.
    pub(super) fn clear(&self) {
        for part in &self.parts {
            let mut part = lock(part);
            part.changes += 1;
            part.sessions = HashMap::new();
        }
    }

    /// The number of owners with a session.
    #[cfg(all(test, session_layer_loom))]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).sessions.len()).sum()
    }
}
