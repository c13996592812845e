//! Records as items: load, create, update, touch, remove, end and refresh.

use std::{sync::Arc, time::SystemTime};

use super::{
    client::{Cas, ClientError, Command, Mode, Reason, Reply, Status},
    envelope::{self, Head, Held, Origin},
    events::TARGET,
    expiry,
    generation::Generation,
    key::Key,
    retry::{TRIES, unexpected},
    store::{MemcachedStore, Place},
};
use crate::{
    id::SessionId,
    record::Record,
    store::{Create, End, OwnerEpoch, Refresh, StoreError, StoreErrorKind, Stored, Touch, Update, Usage, Version},
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

/// The result of reading back a write that was not answered.
enum Settled {
    /// It took place, with this CAS value.
    Ours(Cas),
    /// There is no live record: the write did not take place, or the record was removed after it.
    Absent,
    /// It is not known whether the write took place.
    Unknown,
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

    /// Finds out what is stored after the server answered an update with an error.
    async fn dropped(&self, place: &Place<'_>, status: &Status) -> Result<Update, StoreError> {
        let error = unexpected(status);
        tracing::error!(target: TARGET, cause = ?status, "memcached could not store an update");
        match self.find(&place.renewed()).await {
            Ok(Found::Live(_)) => Err(error),
            Ok(Found::Absent | Found::Dead { .. }) => Ok(Update::Gone),
            Err(_) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown).because(error)),
        }
    }

    /// Reads the record back after a write that was not answered. The write is never sent again, since it may still
    /// arrive.
    async fn settle(&self, place: &Place<'_>, head: &Head, error: &ClientError) -> Settled {
        if !error.sent || matches!(error.reason, Reason::Closed) {
            return Settled::Unknown;
        }
        match self.find(&place.renewed()).await {
            Ok(Found::Live(held)) if held.head.nonce == head.nonce => Settled::Ours(held.cas),
            Ok(Found::Absent | Found::Dead { .. }) => Settled::Absent,
            // If this is the old record, the write has not taken place, or not yet. If it is another write's record,
            // that may have replaced ours.
            Ok(Found::Live(_)) | Err(_) => Settled::Unknown,
        }
    }

    /// Moves the expiry of an item to later.
    ///
    /// Memcached has no conditional touch. So the time left is read first, and an item that has enough is not touched.
    /// A touch that restores the time afterwards would leave the shorter time if it was dropped in between.
    ///
    /// One race remains. A and B read the same time left. B touches the item to a later time. A touches it to an
    /// earlier one, and the reply to A contains the time that B has set. A restores that time, and checks again whether
    /// another touch has moved it meanwhile.
    pub(super) async fn touch_item(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let place = self.place(id);
        let now = self.now();
        let until = expiry::reachable(now, usage.expires_at);
        // If an item is touched to a time in the past, memcached expires it at once.
        let is_past = until <= now;
        if is_past || self.inner.options.clear_by_generation {
            let found = self.find(&place).await?.live();
            if is_past || found.is_none() {
                return Ok(if found.is_some() { Touch::Touched } else { Touch::Gone });
            }
        }
        let read = place.call(Command::get(&place.key, "t f")).await.map_err(ClientError::of_read)?;
        match read.status {
            Status::Done => {}
            Status::Miss => return Ok(Touch::Gone),
            status => return Err(unexpected(&status)),
        }
        // The item's flags contain its absolute limit. If another record replaces this one before the touch, memcached
        // may keep that record past its limit, but a load checks the limit.
        let limit = read.client_flags.and_then(expiry::limit_from_flags);
        if limit.is_some_and(|limit| limit <= now) {
            return Ok(Touch::Gone);
        }
        let mut exptime = expiry::exptime(now, limit.map_or(until, |limit| limit.min(until)));
        if read.seconds_left.is_some_and(|left| expiry::reaches(left, exptime)) {
            return Ok(Touch::Touched);
        }
        for _ in 0..TRIES {
            let reply = place.call(Command::touch(&place.key, exptime)).await.map_err(ClientError::of_write)?;
            match reply.status {
                Status::Done => {}
                Status::Miss => return Ok(Touch::Gone),
                status => return Err(unexpected(&status)),
            }
            match reply.seconds_left.and_then(|left| expiry::given_back(left, exptime)) {
                None => return Ok(Touch::Touched),
                Some(before) => exptime = before,
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the item keeps changing"))
    }

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
                        Refresh::Same { usage, owner_epoch: OwnerEpoch::NotAsked }
                    });
                }
                Status::Done => {}
                status => return Err(unexpected(&status)),
            }
        }
        Ok(match self.load_item(id).await? {
            None => Refresh::Gone,
            Some(now) if now.stored.version == held.version => {
                Refresh::Same { usage: now.stored.usage(), owner_epoch: OwnerEpoch::NotAsked }
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
