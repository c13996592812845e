//! Ends a session so that it stays ended, even if a renewal is under way.
//!
//! A session ends in two steps: a write that names its version, and then a remove. A plain remove would race a renewal:
//! it would delete the renewal's tombstone, and the session would live on under its new id. With the write, either it
//! or the renewal comes first, and the other one sees that. If the renewal was first, the end follows its tombstone and
//! ends the session under the new id.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    commit::{deadline, within},
    load::MOST_LINKS,
    owned::find_owned,
    settings::Settings,
    state::Live,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::{Check, SessionId},
    record::{Forward, Owner, Record, RecordKind, TOMBSTONE_LIFETIME},
    store::{SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage},
};

/// How many writes a store refuses one after another before it counts as one that can't write.
const REFUSALS: usize = 6;

/// The check of no token.
pub(super) const NOBODYS: Check = Check::from_bytes([0; 16]);

/// What came of ending a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// This call has ended the session, which had this id.
    Done(SessionId),
    /// There was none, or somebody else has ended it.
    Absent,
    /// The session moved on by a login, or its tombstones can't be followed. It lives on under an id that the caller
    /// doesn't know.
    Superseded,
}

/// The record that overwrites a session to end it: a tombstone that no token matches, so requests find no session. Its
/// random bytes tell it from others when it is read back.
struct Grave {
    tombstone: Arc<Record>,
    usage: Usage,
    /// A write of it was not answered.
    is_unsure: bool,
}

enum Burial {
    Done,
    /// Nothing is there any more.
    Gone,
    /// Another write was first, or this one was not answered: look again.
    Again,
}

/// How far an end has followed the session: the id that was asked for, or one that its renewals' tombstones lead to.
struct Way {
    id: SessionId,
    /// The owner at the renewals that were followed; `None` if none was.
    owner: Option<Option<Arc<str>>>,
    hops: usize,
}

/// Ends the session with this id, or the session that its tombstones lead to. A record that can't be opened is ended,
/// too.
pub(crate) async fn end(settings: &Settings, id: &SessionId) -> Result<End> {
    let deadline = deadline(settings);
    let mut grave = Grave::new(settings)?;
    let mut way = Way { id: *id, owner: None, hops: 0 };
    let (mut refusals, mut is_last) = (0, false);
    loop {
        let id = way.id;
        let held = match settings.store.load(&id).await {
            Ok(Some(held)) => held,
            Ok(None) => return stays_absent(settings, &id).await,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => break,
            Err(error) => return Err(error.during("load").on(&id).into()),
        };
        match held.record.kind() {
            RecordKind::Session if !way.fits(&held.record) => return Ok(End::Superseded),
            RecordKind::Session => {}
            RecordKind::Tombstone if grave.is(&held.record) => return grave.clear(settings, &id).await,
            RecordKind::Tombstone if held.record.check() == NOBODYS => return stays_absent(settings, &id).await,
            RecordKind::Tombstone => match held.record.forward() {
                Ok(Some(forward)) if way.follow(&forward) => continue,
                Ok(_) => return Ok(End::Superseded),
                // The tombstone says that the session lives on, but its forward can't be read.
                Err(error) => {
                    let error = StoreError::new(StoreErrorKind::Corrupt).during("end").on(&id).because(error);
                    return Err(error.into());
                }
            },
            // What nothing here opens; and no token leads to an epoch.
            RecordKind::Sealed | RecordKind::Epoch => break,
        }
        match grave.bury(settings, &id, &held).await {
            Ok(Burial::Done) => return grave.clear(settings, &id).await,
            Ok(Burial::Gone) => return stays_absent(settings, &id).await,
            Ok(Burial::Again) if Instant::now() < deadline => {}
            // However short the time is, what was first is looked at.
            Ok(Burial::Again) if !is_last => is_last = true,
            Ok(Burial::Again) => return Err(Error::session(ErrorKind::Contended, id)),
            // The disk is full: to remove is still possible, and a logout must be. Not at the first refusal, and not without
            // another look. A can't write for a moment. B renews the session. A removes the tombstone that B has left: the
            // session would live on, and nothing would lead to it any more.
            Err(_) if refusals < REFUSALS => refusals += 1,
            Err(_) => break,
        }
    }
    Ok(if remove_now(settings, &way.id).await? { End::Done(way.id) } else { End::Absent })
}

impl Way {
    /// Follows a renewal to its new id. Returns `false` if the owner has changed since, or after too many renewals.
    fn follow(&mut self, forward: &Forward) -> bool {
        self.hops += 1;
        self.id = forward.to;
        self.hops <= MOST_LINKS && *self.owner.get_or_insert_with(|| forward.owner.clone()) == forward.owner
    }

    /// Whether the session still has the owner that it had at the renewals.
    fn fits(&self, record: &Record) -> bool {
        self.owner.as_ref().is_none_or(|owner| owner.as_ref() == record.owner().map(Owner::name))
    }
}

/// Fails unless a session that is absent when it is to be ended has certainly ended.
///
/// It may instead have moved on to a new token, and the tombstone at the old id may have expired since. That is ruled
/// out if the session was loaded less than a tombstone's lifetime ago. A session past its absolute limit has ended
/// anyway.
pub(crate) fn must_have_ended(settings: &Settings, live: &Live) -> Result<()> {
    let now = settings.clock.now();
    if live.loaded.is_within(TOMBSTONE_LIFETIME, now) || now >= live.stored.record.absolute_limit() {
        return Ok(());
    }
    Err(Error::session(ErrorKind::Unconfirmed, live.id))
}

/// There is none. A store that has let go of it may have to write down that it is not to come back after a restart; and
/// what somebody else is just ending has ended for certain when this is answered.
async fn stays_absent(settings: &Settings, id: &SessionId) -> Result<End> {
    remove_now(settings, id).await?;
    Ok(End::Absent)
}

/// Ends a live session of this owner, and returns the id that it had. If there is no such session, returns `None` and
/// changes nothing.
pub(crate) async fn end_owned(settings: &Settings, owner: &str, id: &SessionId) -> Result<Option<SessionId>> {
    let deadline = deadline(settings);
    let mut grave = Grave::new(settings)?;
    let mut at = *id;
    loop {
        match find_owned(settings, owner, &at).await? {
            // If the session was renewed meanwhile, this is its new id.
            Some(live) => {
                at = live.id;
                match grave.bury(settings, &at, &live.stored).await? {
                    Burial::Done => break,
                    Burial::Gone => {
                        stays_absent(settings, &at).await?;
                        return Ok(None);
                    }
                    Burial::Again => within(deadline, &at)?,
                }
            }
            // The write that was not answered may be what has ended it.
            None if grave.is_under(settings, &at).await? => break,
            None => return Ok(None),
        }
    }
    grave.clear(settings, &at).await?;
    settings.emit(EventKind::Destroyed { id: at });
    Ok(Some(at))
}

/// Removes what is under an id, where it is dead already.
pub(crate) async fn remove(settings: &Settings, id: &SessionId) -> Result<bool, StoreError> {
    let was_there = remove_now(settings, id).await?;
    if was_there {
        settings.emit(EventKind::Destroyed { id: *id });
    }
    Ok(was_there)
}

async fn remove_now(settings: &Settings, id: &SessionId) -> Result<bool, StoreError> {
    let outcome = match settings.store.remove(id).await {
        // Whether the first one arrived is told by a second: either way nothing is there afterwards.
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => settings.store.remove(id).await.map(|_| true),
        outcome => outcome,
    };
    outcome.map_err(|error| error.during("remove").on(id))
}

impl Grave {
    fn new(settings: &Settings) -> Result<Self> {
        let now = settings.clock.now();
        let tombstone = Record::superseded(NOBODYS, now, TOMBSTONE_LIFETIME, None);
        let tombstone = Arc::new(tombstone.map_err(|error| Error::request(ErrorKind::Entropy).because(error))?);
        let usage = Usage::at(&tombstone, now);
        Ok(Self { tombstone, usage, is_unsure: false })
    }

    /// Puts it in the place of this state of a session.
    async fn bury(&mut self, settings: &Settings, id: &SessionId, held: &Stored) -> Result<Burial> {
        match settings.store.update(id, &self.tombstone, &held.version, self.usage).await {
            Ok(Update::Updated(_)) => Ok(Burial::Done),
            Ok(Update::Gone) => Ok(Burial::Gone),
            Ok(Update::Conflict) => Ok(Burial::Again),
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                self.is_unsure = true;
                Ok(Burial::Again)
            }
            Err(error) => Err(error.during("update").on(id).into()),
        }
    }

    /// Whether this is what a write that was not answered has left.
    fn is(&self, record: &Record) -> bool {
        self.is_unsure && *record == *self.tombstone
    }

    async fn is_under(&self, settings: &Settings, id: &SessionId) -> Result<bool> {
        if !self.is_unsure {
            return Ok(false);
        }
        let held = settings.store.load(id).await.map_err(|error| error.during("load").on(id))?;
        Ok(held.is_some_and(|held| self.is(&held.record)))
    }

    /// Removes it. Where the store has acknowledged it the session has ended, whatever comes of that: it is gone within a
    /// minute. Where it has not, it may not last.
    async fn clear(&self, settings: &Settings, id: &SessionId) -> Result<End> {
        match remove_now(settings, id).await {
            Err(error) if self.is_unsure => Err(error.into()),
            Ok(_) | Err(_) => Ok(End::Done(*id)),
        }
    }
}
