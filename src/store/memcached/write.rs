//! Creates and updates a record's item.

use std::sync::Arc;

use super::{
    client::{Cas, Mode, Reply, Status},
    envelope::{self, Head, Origin},
    item::{Found, cas_of},
    place::Place,
    settle::Settled,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    id::SessionId,
    record::Record,
    store::{Create, StoreError, StoreErrorKind, Update, Usage, Version},
};

impl MemcachedStore {
    pub(super) async fn create_item(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Create, StoreError> {
        let place = self.place(id);
        let origin = Origin::new(self.ensure_generation(&place).await?)?;
        let head = self.head(record, origin, usage)?;
        let mut mode = Mode::Absent;
        for _ in 0..TRIES {
            let reply = match place.call(self.write(&place.key, mode, &head, record)).await {
                Ok(reply) => reply,
                Err(error) => {
                    return match self.settle(&place, &head, &error).await {
                        Settled::Ours(cas) => Ok(Create::Created(head.version(cas))),
                        Settled::Absent | Settled::Unknown => Err(error.of_write()),
                    };
                }
            };
            match reply.status {
                Status::Done => return Ok(Create::Created(head.version(cas_of(&reply)?))),
                // A record or a dead item is in the way, or the dead item to be replaced has changed.
                Status::NotStored | Status::Exists | Status::NotFound | Status::Restarted => {}
                status => return Err(unexpected(&status)),
            }
            mode = match self.find(&place).await? {
                Found::Live(_) => return Ok(Create::Exists),
                Found::Dead { cas: Some(cas) } => Mode::Cas(cas),
                Found::Dead { cas: None } | Found::Absent => Mode::Absent,
            };
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the item keeps changing"))
    }

    pub(super) async fn update_item(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let place = self.place(id);
        let Some((mut cas, origin)) = envelope::parts(expected) else {
            // The version is not one of this store, so no stored record has it.
            let found = self.find(&place).await?;
            return Ok(found.live().map_or(Update::Gone, |held| Update::Conflict(Some(held.stored))));
        };
        // The update keeps the generation in which the record was loaded. So an update that is under way during a clear
        // brings nothing back.
        let head = self.head(record, origin, usage)?;
        for _ in 0..TRIES {
            let outcome = self.update_once(&place, record, cas, &head).await?;
            if !matches!(outcome, Update::Conflict(_)) || !self.inner.options.last_write_wins {
                return Ok(outcome);
            }
            // Only a session replaces a session. A tombstone is a conflict even here: of a logout and a renewal, the
            // second must see the tombstone of the first.
            match self.find(&place).await? {
                Found::Live(held) if held.stored.record.is_session() && record.is_session() => cas = held.cas,
                Found::Live(held) => return Ok(Update::Conflict(Some(held.stored))),
                Found::Dead { .. } | Found::Absent => return Ok(Update::Gone),
            }
        }
        Ok(Update::Conflict(None))
    }

    async fn update_once(
        &self,
        place: &Place<'_>,
        record: &Record,
        cas: Cas,
        head: &Head,
    ) -> Result<Update, StoreError> {
        let command = self.write(&place.key, Mode::Cas(cas), head, record);
        let (reply, generation) = match place.server.submit(place.lane, command, place.deadline).await {
            Ok(pending) => {
                // The generation is read after the write, so a clear that it does not show came after the write.
                let generation = self.ask_generation(place).await;
                (pending.answer().await, generation)
            }
            Err(error) => return Err(error.of_write()),
        };
        let error = match reply {
            Ok(Reply { status: Status::NotFound, .. }) => return Ok(Update::Gone),
            Ok(Reply { status: Status::Exists, .. }) => return Ok(Update::Conflict(None)),
            // The version is from before a restart of the server.
            Ok(Reply { status: Status::Restarted, .. }) => {
                return Ok(self
                    .find(place)
                    .await?
                    .live()
                    .map_or(Update::Gone, |held| Update::Conflict(Some(held.stored))));
            }
            Ok(reply) if reply.status == Status::Done => {
                // If the generation can't be read, the write stands. A record that was cleared stays cleared, since it
                // has the old generation.
                let alive = match generation {
                    Ok(asked) => asked.answer().await.map_or(true, |now| now.is(head.generation)),
                    Err(_) => true,
                };
                return if alive { Ok(Update::Updated(head.version(cas_of(&reply)?))) } else { Ok(Update::Gone) };
            }
            // Memcached drops the stored item when it can't store the new one.
            Ok(reply) => return self.dropped(place, &reply.status).await,
            Err(error) => error,
        };
        match self.settle(place, head, &error).await {
            Settled::Ours(cas) => Ok(Update::Updated(head.version(cas))),
            Settled::Absent => Ok(Update::Gone),
            Settled::Unknown => Err(error.of_write()),
        }
    }
}
