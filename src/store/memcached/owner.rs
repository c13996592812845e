//! The list of an owner's sessions: one item with their ids, beside the owner's epoch.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    client::{ClientError, Command, Mode, Status},
    envelope,
    events::TARGET,
    expiry,
    item::stored,
    key::Key,
    place::Place,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    id::SessionId,
    record::Record,
    store::{StoreError, StoreErrorKind, Stored},
};

/// The format that this version writes.
const FORMAT: u8 = 1;

/// The length of the longest list. In a full list, a new session replaces the one that was listed longest ago. That
/// session lives on, and is revoked like the others.
const MOST: usize = 1_000;

/// The number of entries for which the shortest list has room. They make it at least as large as the smallest record.
const LEAST: usize = 4;

/// The length of an entry: a session's id, and its absolute limit.
const ENTRY_BYTES: usize = 16 + 8;

/// How many sessions are requested at once.
const AT_ONCE: usize = 64;

/// The ids and absolute limits of an owner's sessions, in the order in which they were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sessions(Vec<(SessionId, SystemTime)>);

impl Sessions {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.0.len() * ENTRY_BYTES);
        bytes.push(FORMAT);
        for (id, until) in &self.0 {
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(&envelope::millis(*until));
        }
        // A shorter list would be in the epochs' slab class and could evict them. Entries of zeros count as empty.
        bytes.resize(bytes.len().max(1 + LEAST * ENTRY_BYTES), 0);
        bytes
    }

    /// Decodes a list. Bytes that are not a list count as an empty one: revocation does not need the list, and the next
    /// login writes it anew.
    fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&FORMAT, entries)) = bytes.split_first() else { return Self::default() };
        let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
        let read = |entry: &[u8; ENTRY_BYTES]| {
            let (id, until) = entry.split_first_chunk::<16>()?;
            let id = SessionId::from_uuid(uuid::Uuid::from_bytes(*id));
            Some((id, envelope::from_millis(until.try_into().ok()?)))
        };
        let sessions = entries.iter().filter_map(read);
        Self(sessions.filter(|(_, until)| *until > UNIX_EPOCH).collect())
    }

    fn add(&mut self, id: &SessionId, until: SystemTime, now: SystemTime) {
        self.0.retain(|(other, until)| other != id && now < *until);
        self.0.push((*id, until));
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }
}

/// A listing that is under way. If it fails, or its request is dropped, the session's next write tries again.
struct Listing<'a> {
    store: &'a MemcachedStore,
    id: &'a SessionId,
    done: bool,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.store.inner.listed.forget(self.id);
        }
    }
}

impl MemcachedStore {
    /// Puts a session on its owner's list, once in each process. A failure is only logged, since revocation does not
    /// need the list.
    pub(super) async fn list_with_owner(&self, id: &SessionId, record: &Record) {
        let Some(owner) = record.owner().filter(|_| record.is_session() && self.inner.options.list_owners) else {
            return;
        };
        if !self.inner.listed.mark(id) {
            return;
        }
        let mut listing = Listing { store: self, id, done: false };
        let owner = SessionId::for_epoch(owner.name());
        match self.add_to_list(&owner, id, record.absolute_limit()).await {
            Ok(()) => listing.done = true,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(target: TARGET, %id, %error, cause, "not listed with its owner");
            }
        }
    }

    async fn add_to_list(&self, owner: &SessionId, id: &SessionId, until: SystemTime) -> Result<(), StoreError> {
        let (place, key) = (self.place(owner), self.inner.keys.sessions(owner));
        for _ in 0..TRIES {
            let (mut sessions, mode) = self.read_list(&place, &key).await?;
            sessions.add(id, until, self.now());
            if self.write_list(&place, &key, mode, &sessions).await? {
                return Ok(());
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the list keeps changing"))
    }

    /// Returns the list, and the mode that replaces it unless another write comes first.
    async fn read_list(&self, place: &Place<'_>, key: &Key) -> Result<(Sessions, Mode), StoreError> {
        let reply = place.call(Command::get(key, "v c")).await.map_err(ClientError::of_read)?;
        let cas = reply.cas();
        match (reply.status, cas) {
            (Status::Miss, _) => Ok((Sessions::default(), Mode::Absent)),
            (Status::Value, Some(cas)) => Ok((Sessions::from_bytes(&reply.value), Mode::Cas(cas))),
            (status, _) => Err(unexpected(&status)),
        }
    }

    async fn write_list(
        &self,
        place: &Place<'_>,
        key: &Key,
        mode: Mode,
        sessions: &Sessions,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let until = sessions.0.iter().map(|(_, until)| *until).max().unwrap_or(now);
        let exptime = expiry::exptime(now, until);
        let command = Command::set(key, mode, exptime, 0, &[&sessions.to_bytes()]);
        stored(&place.call(command).await.map_err(ClientError::of_write)?.status)
    }

    pub(super) async fn sessions_of(
        &self,
        owner: &str,
        owner_id: &SessionId,
    ) -> Result<Vec<(SessionId, Stored)>, StoreError> {
        let (place, key) = (self.place(owner_id), self.inner.keys.sessions(owner_id));
        let (mut sessions, mode) = self.read_list(&place, &key).await?;
        let mut found = Vec::with_capacity(sessions.0.len());
        let mut dead = Vec::new();
        for ids in sessions.0.chunks(AT_ONCE) {
            let mut asked = Vec::with_capacity(ids.len());
            for (id, _) in ids {
                let place = self.place(id);
                let generation = self.ask_generation(&place).await?;
                let get = Command::get(&place.key, "v c t");
                let pending = place.server.submit(place.lane, get, place.deadline).await;
                asked.push((id, generation, pending.map_err(ClientError::of_read)?));
            }
            for (id, generation, pending) in asked {
                let reply = pending.answer().await.map_err(ClientError::of_read)?;
                match self.read(reply, generation.answer().await?)?.live() {
                    Some(held) if held.stored.record.owner().is_some_and(|other| **other.name() == *owner) => {
                        if held.stored.record.is_session() {
                            found.push((*id, held.stored));
                        }
                    }
                    // Renewed, removed, expired or taken from the owner: it never becomes this owner's again under this
                    // id.
                    _ => dead.push(*id),
                }
            }
        }
        if !dead.is_empty() {
            sessions.0.retain(|(id, _)| !dead.contains(id));
            // A failure is harmless: the next listing leaves them out as well.
            let _ = self.write_list(&place, &key, mode, &sessions).await;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_list_is_bounded_pruned_and_without_duplicates() {
        let id = |n: usize| SessionId::for_epoch(&n.to_string());
        let mut sessions = Sessions::default();
        sessions.add(&id(0), at(10), at(0));
        sessions.add(&id(1), at(20), at(0));
        sessions.add(&id(0), at(30), at(0));
        assert_eq!(sessions.0, [(id(1), at(20)), (id(0), at(30))]);
        assert_eq!(Sessions::from_bytes(&sessions.to_bytes()), sessions);
        sessions.add(&id(2), at(40), at(20));
        assert_eq!(sessions.0, [(id(0), at(30)), (id(2), at(40))]);
        for n in 0..MOST {
            sessions.add(&id(10 + n), at(50), at(20));
        }
        assert_eq!((sessions.0.len(), sessions.0[0].0), (MOST, id(10)));
        assert_eq!(Sessions::from_bytes(&sessions.to_bytes()), sessions);
    }

    proptest! {
        #[test]
        fn hostile_lists_never_panic(bytes: Vec<u8>) {
            prop_assert!(Sessions::from_bytes(&bytes).0.len() <= bytes.len() / ENTRY_BYTES);
        }
    }
}
