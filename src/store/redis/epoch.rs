//! An owner's epoch: a separate value of 25 bytes.

use redis::Value;

use super::{
    known::KnownEpoch,
    link::{Connection, LinkError, Mark},
    operations::no_randomness,
    reply::{Reply, generation, strings, unexpected},
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
    fn epoch_place(&self, owner: &SessionId) -> Place {
        Place { session: self.inner.keys.epoch(owner), generation: self.inner.keys.generation(owner) }
    }

    /// Returns the owner's epoch. This takes one round trip, or none if the epoch is known and the server would have
    /// reported a change.
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

    /// Returns the epoch as last read, if it is current.
    fn known_epoch(&self, owner: &SessionId) -> Option<Epoch> {
        let KnownEpoch { epoch, until, mark, connection } = self.inner.epochs.get(owner)?;
        let is_current = clock::to_millis(self.now()) < until && self.inner.link.is_current(mark, &connection);
        is_current.then_some(epoch)
    }

    /// Reads the epoch so that the server reports when it changes. `None` must be confirmed by the script: a server
    /// that has just become a replica may still answer this command, and may lack the epoch.
    async fn read_epoch(&self, owner: &SessionId) -> Result<Option<Epoch>, StoreError> {
        let place = self.epoch_place(owner);
        let mut command = redis::cmd("MGET");
        command.arg(&place.session).arg(&place.generation);
        let mark = self.inner.link.mark_of(&command, 1);
        let (reply, connection) = self.inner.link.read(&command).await.map_err(LinkError::of_read)?;
        let mut values = strings(reply)?;
        let (value, current) = (values.next().flatten().unwrap_or_default(), generation(values.next().flatten()));
        let read = read_epoch_value(&value, current, clock::to_millis(self.now()));
        self.remember_epoch(owner, read, mark, &connection);
        Ok(read.map(|(epoch, _)| epoch))
    }

    /// Remembers an epoch that was read after this mark was taken.
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

    /// Makes sure that the owner has an epoch, and that it is kept at least until the expiry of this usage. Returns the
    /// epoch.
    pub(super) async fn keep_epoch(&self, owner: &SessionId, usage: Usage) -> Result<Epoch, StoreError> {
        let ensure = async || {
            // An existing epoch is kept and returned. Each attempt has a new number. With the same number in both: the
            // second attempt arrives before the first and stores it. The owner is revoked, and the epoch of that is
            // lost. Then the first attempt arrives, and would bring the revoked epoch back.
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

    /// Replaces the owner's epoch. If there is none, all of the owner's sessions are already revoked.
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
        // Read back, and not sent again: the first request could arrive after a later renewal, and bring back its own
        // epoch.
        match self.epoch_of(owner).await {
            Ok(Some(stored)) if stored == epoch => Ok(()),
            Ok(None) => Ok(()),
            // The stored epoch is the old one, or that of another renewal. This renewal may still arrive after either.
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
        // Redis refuses an expiry of 0.
        let until = usage.expires_millis().max(1).to_string();
        let args = [&epoch.to_u64().to_be_bytes()[..], until.as_bytes()];
        self.run(script, &[&place.session, &place.generation], &args).await
    }
}

fn read(epoch: &[u8]) -> Result<Epoch, StoreError> {
    let bytes = epoch.try_into().map_err(|_| unexpected("an invalid epoch"))?;
    Ok(Epoch::from_u64(u64::from_be_bytes(bytes)))
}
