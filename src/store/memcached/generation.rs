//! Generations: a number on each server that its records must have. Renewing it clears the server.

use super::{
    client::{ClientError, Command, Mode, Reply, Server, Status},
    envelope,
    place::Place,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    clock,
    store::{StoreError, StoreErrorKind},
};

/// The generation of records that are written while the setting is off.
const NONE: u64 = 0;

/// The generation that a live record must have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Generation {
    /// Any generation, since the setting is off.
    Any,
    /// This generation. If it is `None`, the server has lost its generation, and no record is live.
    Only(Option<u64>),
}

impl Generation {
    pub(super) fn is(self, generation: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Only(present) => present == Some(generation),
        }
    }
}

/// A request for the generation, under way at the same time as the request that needs it.
pub(super) enum Asked<'a> {
    No,
    Pending(super::client::Pending<'a>),
}

impl Asked<'_> {
    pub(super) async fn answer(self) -> Result<Generation, StoreError> {
        match self {
            Self::No => Ok(Generation::Any),
            Self::Pending(pending) => {
                present(&pending.answer().await.map_err(ClientError::of_read)?).map(Generation::Only)
            }
        }
    }
}

impl MemcachedStore {
    /// Requests a server's generation, if the setting is on.
    pub(super) async fn ask_generation<'a>(&self, place: &Place<'a>) -> Result<Asked<'a>, StoreError> {
        if !self.inner.options.clear_by_generation {
            return Ok(Asked::No);
        }
        let command = Command::get(&self.inner.keys.generation(), "v");
        let pending = place.server.submit(place.lane, command, place.deadline).await;
        Ok(Asked::Pending(pending.map_err(ClientError::of_read)?))
    }

    /// Returns the generation for a new record. Creates one if the server has none.
    pub(super) async fn ensure_generation(&self, place: &Place<'_>) -> Result<u64, StoreError> {
        if !self.inner.options.clear_by_generation {
            return Ok(NONE);
        }
        let key = self.inner.keys.generation();
        for _ in 0..TRIES {
            let reply = place.call(Command::get(&key, "v")).await.map_err(ClientError::of_read)?;
            if let Some(present) = present(&reply)? {
                return Ok(present);
            }
            let command = Command::set(&key, Mode::Absent, self.longest(), 0, &[&fresh()?.to_le_bytes()]);
            // Nothing of the record was sent yet. If this is not answered, the create did not happen.
            place.call(command).await.map_err(ClientError::of_read)?;
        }
        Err(StoreError::new(StoreErrorKind::Unavailable).because("the server keeps losing its generation"))
    }

    /// Gives every server a new generation. Tries all servers and returns the first error.
    ///
    /// If there are several servers, each is cleared twice: a rename can move a session from a server that is not
    /// cleared yet to one that is.
    pub(super) async fn renew_generations(&self) -> Result<(), StoreError> {
        let servers = &self.inner.servers;
        let again: &[Server] = if servers.len() > 1 { servers } else { &[] };
        let mut result = Ok(());
        for server in servers.iter().chain(again) {
            result = result.and(self.renew_generation(server).await);
        }
        result
    }

    async fn renew_generation(&self, server: &Server) -> Result<(), StoreError> {
        let (key, new) = (self.inner.keys.generation(), fresh()?);
        let command = Command::set(&key, Mode::Always, self.longest(), 0, &[&new.to_le_bytes()]);
        let error = match server.call(0, command, server.deadline()).await {
            Ok(Reply { status: Status::Done, .. }) => return Ok(()),
            Ok(reply) => return Err(unexpected(&reply.status)),
            Err(error) => error,
        };
        if error.sent
            && let Ok(reply) = server.call(0, Command::get(&key, "v"), server.deadline()).await
            && present(&reply)? == Some(new)
        {
            return Ok(());
        }
        Err(error.of_write())
    }

    /// Returns the `T` of the longest time that memcached keeps an item.
    fn longest(&self) -> i64 {
        super::expiry::exptime(self.now(), clock::from_millis(u64::MAX))
    }
}

fn present(reply: &Reply) -> Result<Option<u64>, StoreError> {
    match reply.status {
        Status::Miss => Ok(None),
        Status::Value => Ok((*reply.value).try_into().ok().map(u64::from_le_bytes)),
        ref status => Err(unexpected(status)),
    }
}

/// Draws a generation. It is never [`NONE`], so records that were written without the setting don't come back when it
/// is turned on.
fn fresh() -> Result<u64, StoreError> {
    envelope::random().map(|number| number | 1)
}
