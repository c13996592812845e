//! An owner's sessions: a sorted set of their ids, by their absolute limits.

use redis::Value;

use super::{
    events::TARGET,
    joined::{AT_ONCE, boxed, joined},
    link::LinkError,
    reply::unexpected,
    script,
    store::RedisStore,
};
use crate::{
    clock,
    id::SessionId,
    record::Record,
    store::{ListedSession, StoreError},
};

/// A listing in progress. If it fails, or its request is dropped, the session's next write tries again.
struct Listing<'a> {
    store: &'a RedisStore,
    id: &'a SessionId,
    done: bool,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.store.forget(self.id);
        }
    }
}

impl RedisStore {
    /// The key of the list that a record belongs on, if it is a session with an owner.
    pub(super) fn list_of(&self, record: &Record) -> Option<String> {
        let owner = record.owner().filter(|_| record.is_session() && self.inner.options.list_owners)?;
        Some(self.inner.keys.sessions(&SessionId::for_epoch(owner.name())))
    }

    /// Forgets a session that has ended or must be listed again.
    pub(super) fn forget(&self, id: &SessionId) {
        self.inner.owners.forget(id);
        if !self.inner.link.is_one_node() {
            self.inner.listed.forget(id);
        }
    }

    /// Puts a session on its owner's list, once in each process, if the list is on another server. (On one server, the
    /// script that writes the session does it.) A failure is only logged: revocation doesn't need the list.
    pub(super) async fn list_elsewhere(&self, id: &SessionId, record: &Record) {
        let Some(list) = self.list_of(record).filter(|_| !self.inner.link.is_one_node()) else { return };
        if !self.inner.listed.is_first(id) {
            return;
        }
        let mut listing = Listing { store: self, id, done: false };
        let limit = clock::to_millis(record.absolute_limit()).to_string();
        let args = [id.to_string().into_bytes(), limit.into_bytes()];
        match self.run(&script::LIST, &[&list], &[&args[0], &args[1]]).await {
            Ok(_) => listing.done = true,
            Err(error) => tracing::warn!(target: TARGET, %id, %error, "not added to its owner's list"),
        }
    }

    pub(super) async fn sessions_of(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let list = self.inner.keys.sessions(&SessionId::for_epoch(owner));
        let members = self.run(&script::MEMBERS, &[&list], &[]).await;
        let ids = ids(members.map_err(LinkError::of_read)?)?;
        let (mut found, mut dead) = (Vec::with_capacity(ids.len()), Vec::new());
        for ids in ids.chunks(AT_ONCE) {
            let found_now = joined(ids.iter().map(|id| boxed(self.find(id))).collect()).await;
            for (id, held) in ids.iter().zip(found_now) {
                match held? {
                    Some(held) if held.stored.record.owner().is_some_and(|other| **other.name() == *owner) => {
                        if held.stored.record.is_session() {
                            found.push(ListedSession::new(*id).with_stored(held.stored));
                        }
                    }
                    // Renewed, removed or expired: this id never belongs to this owner again.
                    _ => dead.push(*id),
                }
            }
        }
        if !dead.is_empty() {
            let mut command = redis::cmd("ZREM");
            command.arg(&list);
            for id in dead {
                command.arg(id.to_string());
            }
            // Only tidies up. The next listing skips them as well.
            let _ = self.inner.link.command(&command).await;
        }
        Ok(found)
    }
}

/// The members of a list. A member that is not an id was not written by this store, and is skipped.
fn ids(reply: Value) -> Result<Vec<SessionId>, StoreError> {
    let Value::Array(members) = reply else { return Err(unexpected("not a list")) };
    let id = |member: &Value| match member {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    };
    Ok(members.iter().filter_map(id).collect())
}
