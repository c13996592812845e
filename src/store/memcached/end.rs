//! Deletes a record's item: a remove, and an end that names the version.

use super::{
    client::{ClientError, Command, Status},
    envelope,
    item::Found,
    store::MemcachedStore,
    unexpected::unexpected,
};
use crate::{
    id::SessionId,
    store::{End, StoreError, Version},
};

impl MemcachedStore {
    /// Deletes a record and its lease in one round trip. Returns whether there was a live record.
    pub(super) async fn remove_item(&self, id: &SessionId) -> Result<bool, StoreError> {
        let place = self.place(id);
        let submit = |command| place.server.submit(place.lane, command, place.deadline);
        let generation = self.ask_generation(&place).await?;
        let before = submit(Command::get(&place.key, "v c t")).await.map_err(ClientError::of_read)?;
        let delete = submit(Command::delete(&place.key, None)).await.map_err(ClientError::of_read)?;
        let lease = submit(Command::delete(&self.inner.keys.lease(id), None)).await;
        // The delete is sent: from here on, only its own reply says whether it took place. A record that can't be read
        // counts as present: its bytes may be damaged, which are deleted like others, or the generation was not
        // answered.
        let before = before.answer().await;
        let nothing = matches!(&before, Ok(reply) if reply.status == Status::Miss);
        let found = match (before, generation.answer().await) {
            (Ok(reply), Ok(generation)) => self.read(reply, generation).map_or(true, |found| found.live().is_some()),
            _ => true,
        };
        match delete.answer().await {
            Ok(reply) => match reply.status {
                Status::Done => {
                    if let Ok(lease) = lease {
                        // If this fails, the lease runs out by itself.
                        let _ = lease.answer().await;
                    }
                    // If there was nothing before, the deleted item was created in between.
                    Ok(found || nothing)
                }
                Status::NotFound => Ok(false),
                status => Err(unexpected(&status)),
            },
            Err(error) if error.sent => match self.find(&place.renewed()).await {
                Ok(Found::Absent | Found::Dead { .. }) => Ok(found),
                _ => Err(error.of_write()),
            },
            Err(error) => Err(error.of_write()),
        }
    }

    /// Deletes a record if it has the expected CAS value, and then its lease.
    pub(super) async fn end_item(&self, id: &SessionId, expected: &Version) -> Result<End, StoreError> {
        let place = self.place(id);
        let conflict = |found: Found| found.live().map_or(End::Gone, |held| End::Conflict(Some(held.stored)));
        let Some((cas, origin)) = envelope::parts(expected) else {
            // The version is not one of this store, so no stored record has it.
            return Ok(conflict(self.find(&place).await?));
        };
        let generation = self.ask_generation(&place).await?;
        let submit = |command| place.server.submit(place.lane, command, place.deadline);
        let delete = submit(Command::delete(&place.key, Some(cas))).await.map_err(ClientError::of_write)?;
        let reply = match delete.answer().await {
            Ok(reply) => reply,
            Err(error) if error.sent => {
                return match self.find(&place.renewed()).await {
                    // Another write came first, so the delete finds another CAS value and can't take effect.
                    Ok(Found::Live(held)) if held.cas != cas => Ok(End::Conflict(Some(held.stored))),
                    // The record is gone, and either this delete or another one is the reason. Or it is unchanged, and
                    // the delete may still arrive. Or it can't be read.
                    Ok(_) | Err(_) => Err(error.of_write()),
                };
            }
            Err(error) => return Err(error.of_write()),
        };
        match reply.status {
            Status::Done => {
                // Not waited for: the lease would run out by itself.
                drop(submit(Command::delete(&self.inner.keys.lease(id), None)).await);
                // A record of an older generation was already absent. If the generation can't be read, the delete
                // stands.
                let was_cleared = generation.answer().await.is_ok_and(|now| !now.is(origin.generation));
                Ok(if was_cleared { End::Gone } else { End::Ended })
            }
            Status::NotFound => Ok(End::Gone),
            Status::Exists | Status::Restarted => Ok(conflict(self.find(&place).await?)),
            status => Err(unexpected(&status)),
        }
    }
}
