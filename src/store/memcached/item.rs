//! Records as items: how they are read and written.

use std::{sync::Arc, time::SystemTime};

use super::{
    client::{Cas, ClientError, Command, Mode, Reply, Status},
    envelope::{self, Head, Held, Origin},
    expiry,
    generation::Generation,
    key::Key,
    place::Place,
    store::MemcachedStore,
    unexpected::unexpected,
};
use crate::{
    id::SessionId,
    record::Record,
    store::{OwnerEpoch, Refresh, StoreError, StoreErrorKind, Stored, Usage},
};

/// The item under a record's key.
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// An item that counts as absent: expired by the clock, of another generation, empty or stale.
    Dead { cas: Option<Cas> },
    /// A record.
    Live(Held),
}

impl Found {
    pub(super) fn live(self) -> Option<Held> {
        match self {
            Self::Live(held) => Some(held),
            Self::Absent | Self::Dead { .. } => None,
        }
    }
}

impl MemcachedStore {
    pub(super) fn now(&self) -> SystemTime {
        self.inner.options.clock.now()
    }

    pub(super) async fn load_item(&self, id: &SessionId) -> Result<Option<Held>, StoreError> {
        Ok(self.find(&self.place(id)).await?.live())
    }

    /// Reads the item under a record's key, in one round trip.
    pub(super) async fn find(&self, place: &Place<'_>) -> Result<Found, StoreError> {
        let generation = self.ask_generation(place).await?;
        let reply = place.call(Command::get(&place.key, "v c t")).await.map_err(ClientError::of_read)?;
        self.read(reply, generation.answer().await?)
    }

    /// Interprets the reply to a get. Records of another generation are dead.
    pub(super) fn read(&self, reply: Reply, generation: Generation) -> Result<Found, StoreError> {
        match reply.status {
            Status::Miss => return Ok(Found::Absent),
            Status::Value => {}
            status => return Err(unexpected(&status)),
        }
        let (Some(cas), false) = (reply.cas(), reply.stale || reply.value.is_empty()) else {
            return Ok(Found::Dead { cas: reply.cas() });
        };
        let now = self.now();
        let held = Held::open(&reply.value, cas, reply.seconds_left, now)?;
        if held.stored.is_expired(now) || !generation.is(held.head.generation) {
            return Ok(Found::Dead { cas: Some(cas) });
        }
        Ok(Found::Live(held))
    }

    /// Returns the command that writes a record.
    pub(super) fn write(&self, key: &Key, mode: Mode, head: &Head, record: &Record) -> Command {
        let exptime = expiry::exptime(self.now(), head.usage.expires_at);
        let flags = expiry::limit_to_flags(record.absolute_limit());
        Command::set(key, mode, exptime, flags, &[&head.to_bytes(), &record.to_bytes()])
    }

    /// Creates the head of a write, with an expiry that memcached can keep.
    pub(super) fn head(&self, record: &Record, origin: Origin, usage: Usage) -> Result<Head, StoreError> {
        let expires_at = expiry::reachable(self.now(), usage.expires_at.min(record.absolute_limit()));
        Head::new(origin, Usage { expires_at, ..usage })
    }

    pub(super) async fn refresh_item(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        // An equal CAS value of the same incarnation means the same state. But it doesn't show whether the generation
        // has changed, so with generations the record is loaded.
        if !self.inner.options.clear_by_generation
            && let Some((cas, _)) = envelope::parts(&held.version)
        {
            let place = self.place(id);
            let reply = place.call(Command::get(&place.key, "c t")).await.map_err(ClientError::of_read)?;
            match reply.status {
                Status::Miss => return Ok(Refresh::Gone),
                Status::Done if reply.cas() == Some(cas) && !reply.stale => {
                    let now = self.now();
                    let (expires_at, shift) = expiry::moved(now, held.expires_at, reply.seconds_left);
                    let usage = Usage { used_at: shift.apply(held.used_at).min(now), expires_at };
                    let usage = Stored::new(Arc::clone(&held.record), held.version, usage).usage();
                    return Ok(if now >= usage.expires_at {
                        Refresh::Gone
                    } else {
                        Refresh::Same { usage, owner_epoch: OwnerEpoch::NotAsked, tracked: None }
                    });
                }
                Status::Done => {}
                status => return Err(unexpected(&status)),
            }
        }
        Ok(match self.load_item(id).await? {
            None => Refresh::Gone,
            Some(now) if now.stored.version == held.version => {
                Refresh::Same { usage: now.stored.usage(), owner_epoch: OwnerEpoch::NotAsked, tracked: None }
            }
            Some(now) => Refresh::Changed(now.stored),
        })
    }
}

/// Returns the CAS value of a stored item. Fails if the server has compare-and-swap turned off.
pub(super) fn cas_of(reply: &Reply) -> Result<Cas, StoreError> {
    reply.cas().ok_or_else(|| {
        StoreError::new(StoreErrorKind::Unavailable)
            .because("memcached returns no compare-and-swap values: start it without -C")
    })
}

/// Whether a conditional write took place. Returns `false` if another write came first, or the server was restarted.
pub(super) fn stored(status: &Status) -> Result<bool, StoreError> {
    match status {
        Status::Done => Ok(true),
        Status::NotStored | Status::Exists | Status::NotFound | Status::Restarted => Ok(false),
        status => Err(unexpected(status)),
    }
}
