//! Operations on one record, and renewals.

use std::sync::Arc;

use redis::Value;

use super::{
    key::partition,
    known::KnownVersion,
    link::{Connection, LinkError, Mark},
    reply::{Reply, generation, strings, unexpected},
    script::{self, Script},
    store::RedisStore,
    value::{Head, Held, Nonce, State, Written, read_epoch_value},
};
use crate::{
    clock,
    id::{EntropyError, SessionId},
    record::Record,
    store::{
        End, OwnerEpoch, Refresh, Rename, StoreError, StoreErrorKind, Stored, Touch, Tracked, Update, Usage, Version,
    },
};

/// A record of at most this many bytes is sent again when it is refreshed: the script that compares its version takes the
/// server longer.
const SENT_ANYWAY: usize = 8_192;

/// A nonce that no value has: stands for an expected version of another store.
const NO_NONCE: [u8; 16] = [0; 16];

/// The outcome of a create.
pub(super) enum Created {
    Done(State),
    Exists,
    /// Everything was cleared since the session being renewed was stored: the new id's partition is in this generation.
    Cleared(u64),
}

impl RedisStore {
    /// Reads a record in one round trip; on one node, with the epoch of its owner.
    pub(super) async fn find(&self, id: &SessionId) -> Result<Option<Held>, StoreError> {
        // In a cluster, the owner's epoch is read separately in any case.
        let owner = if self.inner.link.is_one_node() { self.inner.owners.get(id) } else { Some(None) };
        if let Some(owner) = owner
            && let Some(held) = self.find_owned(id, owner).await?
        {
            return Ok(Some(held));
        }
        let (reply, tracked) = self.look(id, &[]).await?;
        match reply {
            Reply::Value(mut held) => {
                self.inner.owners.remember(id, held.head.owner);
                held.stored = held.stored.with_tracked(tracked);
                Ok(Some(*held))
            }
            Reply::Gone => Ok(None),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Reads a record whose owner is remembered, by a plain command, which costs the server a fraction of a script's
    /// time. Returns `None` if there is no string under the key. Then the script finds out why, and unlike this
    /// command, it is never answered by a replica.
    async fn find_owned(&self, id: &SessionId, owner: Option<SessionId>) -> Result<Option<Held>, StoreError> {
        let command = self.inner.keys.read(id, owner.as_ref());
        let now = clock::to_millis(self.now());
        let mark = self.inner.link.mark_of(&command, 1);
        let mark_of_epoch = self.inner.link.mark_of(&command, 3);
        let (reply, connection) = self.inner.link.read(&command).await.map_err(LinkError::of_read)?;
        let mut values = strings(reply)?;
        let mut next = || values.next().flatten();
        let Some(value) = next() else { return Ok(None) };
        let current = generation(next());
        let epoch = match owner {
            Some(owner) => {
                let epoch = next().unwrap_or_default();
                let read = read_epoch_value(&epoch, generation(next()), now);
                self.remember_epoch(&owner, read, mark_of_epoch, &connection);
                // That there is none is to be believed only of the script.
                read.map_or(OwnerEpoch::NotAsked, |(epoch, _)| OwnerEpoch::Present(epoch))
            }
            None => OwnerEpoch::NotAsked,
        };
        let mut held = Held::read(&value, epoch)?;
        // It may be a replica's, which lacks a touch.
        if held.head.usage.expires_millis() <= now || held.head.state.generation < current {
            return Ok(None);
        }
        if held.head.owner != owner && self.inner.link.is_one_node() {
            self.inner.owners.remember(id, held.head.owner);
            held.stored = held.stored.with_owner_epoch(OwnerEpoch::NotAsked);
        }
        held.stored = held.stored.with_tracked(self.tracked(mark, connection));
        Ok(Some(held))
    }

    /// Reads a record by the script. The record itself is left out if its nonce is this one.
    async fn look(&self, id: &SessionId, nonce: &[u8]) -> Result<(Reply, Option<Tracked>), StoreError> {
        let place = self.place(id);
        let keys = [&*place.session, &*place.generation];
        let mark = self.inner.link.mark(keys.map(str::as_bytes));
        let answered = self.answered(&script::LOAD, &keys, &[nonce], None).await;
        let (reply, connection) = answered.map_err(LinkError::of_read)?;
        Ok((Reply::read(reply)?, self.tracked(mark, connection)))
    }

    /// The [`Tracked`] of a version that this process has written, if servers report changes.
    pub(super) fn tracked_version(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        let KnownVersion { nonce, mark, connection } = self.inner.written.get(id)?;
        let is_known = State::of(version).is_some_and(|state| state.nonce == nonce);
        self.tracked(Some(mark).filter(|_| is_known), connection)
    }

    /// The [`Tracked`] of a record that was read after this mark, and answered on this connection.
    fn tracked(&self, mark: Option<Mark>, connection: Connection) -> Option<Tracked> {
        let (mark, inner) = (mark?, Arc::clone(&self.inner));
        Some(Tracked::new(move || inner.link.is_current(mark, &connection)))
    }

    /// Compares the stored session with the one that the caller holds, by asking the server.
    pub(super) async fn refresh_value(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        if held.record.encoded_len() <= SENT_ANYWAY {
            let found = self.find(id).await?;
            if let Some(Held { head, stored }) = &found
                && stored.owner_epoch == OwnerEpoch::NotAsked
            {
                self.forget_epoch(head);
            }
            return Ok(match found {
                Some(Held { stored, .. }) if stored.is_expired(self.now()) => Refresh::Gone,
                Some(Held { stored, .. }) if stored.version == held.version => {
                    let usage = stored.usage();
                    Refresh::Same { usage, owner_epoch: stored.owner_epoch, tracked: stored.tracked }
                }
                Some(Held { stored, .. }) => Refresh::Changed(stored),
                None => Refresh::Gone,
            });
        }
        let nonce = State::of(&held.version).map(|state| *state.nonce.as_bytes());
        let (reply, tracked) = self.look(id, nonce.as_ref().map_or(&[], |nonce| nonce)).await?;
        match &reply {
            Reply::Same(head, _) => self.forget_epoch(head),
            Reply::Value(held) => self.forget_epoch(&held.head),
            _ => {}
        }
        match reply {
            Reply::Same(head, _) if head.usage.expires_at <= self.now() => Ok(Refresh::Gone),
            Reply::Same(head, owner_epoch) => Ok(Refresh::Same { usage: head.usage, owner_epoch, tracked }),
            Reply::Value(held) => Ok(Refresh::Changed(held.stored.with_tracked(tracked))),
            Reply::Gone => Ok(Refresh::Gone),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Forgets the epoch of a session's owner: the caller of a refresh wants what is there now, and may ask for it next.
    /// The owner is the stored one, since a wrapper's caller knows it by another name.
    fn forget_epoch(&self, head: &Head) {
        if let Some(owner) = head.owner.as_ref().filter(|_| self.inner.link.is_tracking()) {
            self.inner.epochs.forget(owner);
        }
    }

    /// Stores a new record. `renewed` is the generation of the session that it renews. The new one is stored in the
    /// same generation, so that a clear in progress ends it, wherever the clear has begun.
    pub(super) async fn create_value(
        &self,
        id: &SessionId,
        record: &Record,
        usage: Usage,
        renewed: Option<u64>,
    ) -> Result<Created, StoreError> {
        let nonce = Nonce::random().map_err(no_randomness)?;
        // If this is not the current generation, the script replaces it.
        let written = Written::new(State { nonce, generation: renewed.unwrap_or(0) }, record, usage);
        let renewed = renewed.map(|generation| generation.to_string()).unwrap_or_default();
        match self.write(&script::CREATE, id, record, &written, renewed.as_bytes()).await {
            Ok(reply) => match Reply::read(reply)? {
                Reply::Done(generation) => Ok(Created::Done(state(nonce, &generation)?)),
                Reply::Exists => Ok(Created::Exists),
                Reply::Cleared(generation) => Ok(Created::Cleared(generation)),
                _ => Err(unexpected("another script's reply")),
            },
            Err(error @ (LinkError::Unanswered(_) | LinkError::NotReplicated { .. }))
                if self.inner.link.waits_for_replicas() =>
            {
                // Nobody has the token, but the session would count among its owner's.
                let version = State { nonce, generation: 0 }.version();
                let _ = self.end_value(id, &version, None).await;
                Err(error.of_write())
            }
            Err(error @ LinkError::Unanswered(_)) => match self.find(id).await {
                Ok(Some(held)) if held.head.state.nonce == nonce => Ok(Created::Done(held.head.state)),
                // The create may still arrive, or the session may have been removed since.
                _ => Err(error.of_write()),
            },
            Err(error) => Err(error.of_write()),
        }
    }

    pub(super) async fn update_value(
        &self,
        id: &SessionId,
        record: &Record,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let expected = State::of(expected);
        let nonce = Nonce::random().map_err(no_randomness)?;
        let generation = expected.map_or(0, |state| state.generation);
        let written = Written::new(State { nonce, generation }, record, usage);
        let expected = expected.map_or(NO_NONCE, |state| *state.nonce.as_bytes());
        let (reply, again) = sent(|| self.write(&script::UPDATE, id, record, &written, &expected)).await?;
        match reply {
            Reply::Done(generation) => Ok(Update::Updated(state(nonce, &generation)?.version())),
            // Another write was carried out, maybe after this one.
            Reply::Conflict(_) if let Some(error) = again => Err(error),
            Reply::Conflict(held) => Ok(Update::Conflict(Some(held.stored))),
            Reply::Gone => Ok(Update::Gone),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Runs a script that writes a record.
    async fn write(
        &self,
        script: &'static Script,
        id: &SessionId,
        record: &Record,
        written: &Written,
        condition: &[u8],
    ) -> Result<Value, LinkError> {
        let place = self.place(id);
        let list = self.list_of(record).filter(|_| self.inner.link.is_one_node());
        let keys = [&*place.session, &*place.generation];
        let Written { value, expiry, limit, owner, .. } = written;
        // The server makes a string of each argument, which takes it longer than to read one.
        let args = [&value[..], expiry.as_bytes(), condition, limit.as_bytes()];
        let args = &args[..3 + usize::from(list.is_some())];
        let reply = self.run_and_remember(script, (id, written), &keys, list.as_deref(), args).await?;
        if self.inner.link.is_one_node() {
            self.inner.owners.remember(id, *owner);
        }
        Ok(reply)
    }

    /// Refuses a record that is too large, before anything is sent.
    pub(super) fn check_size(&self, record: &Record) -> Result<(), StoreError> {
        let (bytes, limit) = (Written::size(record), self.inner.options.value_size_limit);
        if bytes <= limit {
            return Ok(());
        }
        let why = format!("the value would take {bytes} bytes, and the setting `value_size_limit` is {limit}");
        Err(StoreError::new(StoreErrorKind::TooLarge).because(why))
    }

    pub(super) async fn touch_value(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let (used, expires) = (usage.used_millis().to_string(), usage.expires_millis().to_string());
        let place = self.place(id);
        let (keys, args) = ([&*place.session, &*place.generation], [used.as_bytes(), expires.as_bytes()]);
        match sent(|| self.run(&script::TOUCH, &keys, &args)).await?.0 {
            Reply::Done(_) => Ok(Touch::Touched),
            Reply::Gone => Ok(Touch::Gone),
            _ => Err(unexpected("another script's reply")),
        }
    }

    pub(super) async fn remove_value(&self, id: &SessionId) -> Result<bool, StoreError> {
        let place = self.place(id);
        let keys = [&*place.session, &*place.generation];
        let (reply, again) = sent(|| self.run(&script::REMOVE, &keys, &[])).await?;
        match reply {
            Reply::Done(_) => Ok(true),
            // This call or another one has removed it; the store can't tell which.
            Reply::Gone => again.map_or(Ok(false), Err),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Ends a session in this version. With `unused_since`, in milliseconds, refuses a session that was used after
    /// that.
    pub(super) async fn end_value(
        &self,
        id: &SessionId,
        expected: &Version,
        unused_since: Option<u64>,
    ) -> Result<End, StoreError> {
        let expected = State::of(expected).map_or(NO_NONCE, |state| *state.nonce.as_bytes());
        let used = unused_since.map(|used| used.to_string()).unwrap_or_default();
        let place = self.place(id);
        let keys = [&*place.session, &*place.generation];
        let args = [&expected[..], used.as_bytes()];
        let (reply, again) = sent(|| self.run(&script::END, &keys, &args)).await?;
        match reply {
            Reply::Done(_) => Ok(End::Ended),
            // Another write came first, so both attempts of this end find another nonce.
            Reply::Conflict(held) => Ok(End::Conflict(Some(held.stored))),
            // This end or another is the reason; the store can't tell which.
            Reply::Gone => again.map_or(Ok(End::Gone), Err),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Creates `to`, and then replaces `from` by the tombstone. The two keys may be on two servers.
    ///
    /// `to` is stored in the generation of `from`. Say a clear has reached one of the two partitions, and not yet the
    /// other. In the partition that it has reached, `to` is refused or `from` is gone. In the other, it later finds the
    /// record in a generation that it ends. So it ends both.
    pub(super) async fn rename_value(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Record,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let Some(State { generation, .. }) = State::of(expected) else {
            // Another store's version, which is stored nowhere.
            return Ok(self.find(from).await?.map_or(Rename::Gone, |held| Rename::Conflict(Some(held.stored))));
        };
        let created = match self.create_value(to, record, usage, Some(generation)).await? {
            Created::Done(state) => state.version(),
            Created::Exists => return Ok(Rename::Exists),
            Created::Cleared(newer) => {
                // A clear that failed halfway may have left `from` alive.
                self.raise(&[partition(from)], newer).await?;
                return Ok(Rename::Gone);
            }
        };
        let buried = self.update_value(from, tombstone, expected, Usage::at(tombstone, usage.used_at));
        // If the list is on another server, the session must be on it before the rename returns.
        let (buried, ()) = tokio::join!(buried, self.list_elsewhere(to, record));
        let outcome = match buried {
            Ok(Update::Updated(_)) => return Ok(Rename::Renamed(created)),
            Ok(Update::Conflict(stored)) => Ok(Rename::Conflict(stored)),
            Ok(Update::Gone) => Ok(Rename::Gone),
            // The tombstone may be stored, so `to` stays.
            Err(error) if error.may_have_happened() => return Err(error),
            Err(error) => Err(error),
        };
        // Nobody has the token of `to`. If this fails, `to` expires unused.
        let _ = self.end_value(to, &created, None).await;
        self.forget(to);
        outcome
    }
}

/// Runs a script that can be sent twice, and reads its reply. If the first request is not answered, the script is sent
/// again, and the first error is returned along with the second reply. The script has then run at least once, and the
/// caller decides which of the two runs the reply is about.
///
/// The first request may still arrive, even after the second is answered. So this is only for scripts that then do
/// nothing: those that expect a nonce, and replace or remove it; a touch, which only moves times to later; and a
/// removal, whose id is never used again.
pub(super) async fn sent<F: Future<Output = Result<Value, LinkError>>>(
    send: impl Fn() -> F,
) -> Result<(Reply, Option<StoreError>), StoreError> {
    let error = match send().await {
        Ok(reply) => return Ok((Reply::read(reply)?, None)),
        Err(error) => error,
    };
    let is_unanswered = matches!(error, LinkError::Unanswered(_));
    let error = error.of_write();
    if is_unanswered
        && let Ok(reply) = send().await
        && let Ok(reply) = Reply::read(reply)
    {
        return Ok((reply, Some(error)));
    }
    Err(error)
}

fn state(nonce: Nonce, generation: &[u8]) -> Result<State, StoreError> {
    let generation = generation.try_into().map_err(|_| unexpected("an invalid generation"))?;
    Ok(State { nonce, generation: u64::from_be_bytes(generation) })
}

pub(super) fn no_randomness(error: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(error)
}
