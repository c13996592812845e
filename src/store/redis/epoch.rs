//! An owner's epoch: a value of its own, 25 bytes long.

use redis::Value;

use super::{
    known_epoch::KnownEpoch,
    link::{Connection, LinkError, Mark},
    operations::no_randomness,
    reply::{Reply, digits, unexpected},
    script,
    store::{Place, RedisStore},
    value::read_epoch_value,
};
use crate::{
    clock,
    id::SessionId,
    record::Epoch,
    store::{StoreError, Usage},
};

impl RedisStore {
    pub(super) fn epoch_place(&self, owner: &SessionId) -> Place {
        Place { session: self.inner.keys.epoch(owner), generation: self.inner.keys.generation(owner) }
    }

    /// The owner's epoch, in one round trip, or in none if it is known and the server would have said that it has changed.
    pub(super) async fn epoch_of(&self, owner: &SessionId) -> Result<Option<Epoch>, StoreError> {
        if self.inner.link.is_tracking() {
            let known = self.known_epoch(owner);
            let epoch = if known.is_some() { known } else { self.read_epoch(owner).await? };
            if epoch.is_some() {
                return Ok(epoch);
            }
        }
        let place = self.epoch_place(owner);
        let reply = self.run(&script::EPOCH, &[&place.session, &place.generation], &[]).await;
        match Reply::read(reply.map_err(LinkError::of_read)?)? {
            Reply::Done(epoch) => read(&epoch).map(Some),
            Reply::Gone => Ok(None),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// The epoch that was read last, if it is current.
    fn known_epoch(&self, owner: &SessionId) -> Option<Epoch> {
        let KnownEpoch { epoch, until, mark, connection } = self.inner.epochs.get(owner)?;
        let is_current = clock::to_millis(self.now()) < until && self.inner.link.is_current(mark, &connection);
        is_current.then_some(epoch)
    }

    /// Reads the epoch so that the server says when it changes. `None` is to be believed only of the script.
    async fn read_epoch(&self, owner: &SessionId) -> Result<Option<Epoch>, StoreError> {
        let place = self.epoch_place(owner);
        let mark = self.inner.link.mark([place.session.as_bytes(), place.generation.as_bytes()]);
        let mut command = redis::cmd("MGET");
        command.arg(&place.session).arg(&place.generation);
        let (reply, connection) = self.inner.link.read(&command).await.map_err(LinkError::of_read)?;
        let Value::Array(values) = reply else { return Err(unexpected("no array")) };
        let mut values = values.into_iter().map(|value| match value {
            Value::BulkString(bytes) => bytes,
            _ => Vec::new(),
        });
        let (value, generation) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
        let read = read_epoch_value(&value, digits(&generation).unwrap_or(0), clock::to_millis(self.now()));
        self.remember_epoch(owner, read, mark, &connection);
        Ok(read.map(|(epoch, _)| epoch))
    }

    /// Remembers an epoch that was read after this mark.
    pub(super) fn remember_epoch(
        &self,
        owner: &SessionId,
        read: Option<(Epoch, u64)>,
        mark: Option<Mark>,
        connection: &Connection,
    ) {
        if let (Some((epoch, until)), Some(mark)) = (read, mark) {
            let connection = connection.clone();
            self.inner.epochs.remember(owner, KnownEpoch { epoch, until, mark, connection });
        }
    }

    /// Makes sure that the owner has an epoch that is kept at least until the expiry of this usage. Returns the epoch.
    pub(super) async fn keep_epoch(&self, owner: &SessionId, usage: Usage) -> Result<Epoch, StoreError> {
        let ensure = async || {
            // If there is one, it is the answer. A second time with the same number could bring it back, if the first
            // arrived when the owner has been revoked, and has lost the epoch of that.
            let epoch = Epoch::generate().map_err(no_randomness)?;
            Ok::<_, StoreError>(self.write_epoch(&script::ENSURE_EPOCH, owner, epoch, usage).await)
        };
        let reply = match ensure().await? {
            Err(LinkError::Unanswered(_)) => ensure().await?,
            reply => reply,
        };
        match Reply::read(reply.map_err(LinkError::of_write)?)? {
            Reply::Done(epoch) => read(&epoch),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Replaces the owner's epoch. If there is none, all of the owner's sessions are revoked already.
    pub(super) async fn change_epoch(&self, owner: &SessionId, usage: Usage) -> Result<(), StoreError> {
        let epoch = Epoch::generate().map_err(no_randomness)?;
        let error = match self.write_epoch(&script::RENEW_EPOCH, owner, epoch, usage).await {
            Ok(reply) => {
                return match Reply::read(reply)? {
                    Reply::Done(_) | Reply::Gone => Ok(()),
                    _ => Err(unexpected("another script's reply")),
                };
            }
            Err(error @ LinkError::Unanswered(_)) => error,
            Err(error) => return Err(error.of_write()),
        };
        if self.inner.link.waits_for_replicas() {
            return Err(error.of_write());
        }
        // Read back, and not sent again: the first could arrive after a later renewal, and bring back its own epoch.
        match self.epoch_of(owner).await {
            Ok(Some(stored)) if stored == epoch => Ok(()),
            Ok(None) => Ok(()),
            // The old one, or that of another renewal, after which this one may still arrive.
            Ok(Some(_)) | Err(_) => Err(error.of_write()),
        }
    }

    async fn write_epoch(
        &self,
        script: &'static script::Script,
        owner: &SessionId,
        epoch: Epoch,
        usage: Usage,
    ) -> Result<Value, LinkError> {
        let place = self.epoch_place(owner);
        // Redis refuses a time of 0.
        let until = usage.expires_millis().max(1).to_string();
        let args = [&epoch.to_u64().to_be_bytes()[..], until.as_bytes()];
        self.run(script, &[&place.session, &place.generation], &args).await
    }
}

fn read(epoch: &[u8]) -> Result<Epoch, StoreError> {
    let bytes = epoch.try_into().map_err(|_| unexpected("no epoch"))?;
    Ok(Epoch::from_u64(u64::from_be_bytes(bytes)))
}
