//! A number on each server that all its records must have: a new one clears the server.

use super::{
    client::{ClientError, Command, Mode, Reply, Server, Status},
    envelope,
    retry::{TRIES, unexpected},
    store::{MemcachedStore, Place},
};
use crate::{
    clock,
    store::{StoreError, StoreErrorKind},
};

/// The generation of records where the setting is off.
const NONE: u64 = 0;

/// Which records count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Generation {
    /// All: the setting is off.
    Any,
    /// Those of this one; none, if the server has lost it.
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

/// A question for the generation that is under way, beside the request that it is for.
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
    /// Asks a server for its generation, if the setting is on.
    pub(super) async fn ask_generation<'a>(&self, place: &Place<'a>) -> Result<Asked<'a>, StoreError> {
        if !self.inner.options.clear_by_generation {
            return Ok(Asked::No);
        }
        let command = Command::get(&self.inner.keys.generation(), "v");
        let pending = place.server.submit(place.lane, command, place.deadline).await;
        Ok(Asked::Pending(pending.map_err(ClientError::of_read)?))
    }

    /// The generation for a new record, made if the server has none.
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
        Err(StoreError::new(StoreErrorKind::Unavailable).because("the server does not keep its generation"))
    }

    /// Gives every server a new generation. All are tried; the first error is the answer.
    ///
    /// Several servers are cleared twice: a rename can move a session from a server that is still to be cleared to one
    /// that is already done.
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

    /// The longest time that memcached keeps anything.
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

/// Never [`NONE`]: records that were written without the setting don't come back when it is turned on.
fn fresh() -> Result<u64, StoreError> {
    envelope::random().map(|number| number | 1)
}
