//! Ends a session so that it stays ended, even if a renewal is under way.
//!
//! A plain remove would race a renewal: it would delete the renewal's tombstone, and the session would live on under
//! its new id. So an end names the version in which the session was seen ([`SessionStore::end`]). If the end and a
//! renewal meet, one of them comes first and the other notices. If the renewal was first, the end follows its tombstone
//! and ends the session under the new id.

use std::sync::Arc;

use tokio::time::Instant;

use super::{context::Context, find::MOST_LINKS, live::Live};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
    record::{Forward, Owner, Record, RecordKind, TOMBSTONE_LIFETIME},
    store::{End, SessionStore, StoreError, StoreErrorKind, Stored, Version},
};

/// The outcome of ending a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// This call has ended the session, under this id.
    Done(SessionId),
    /// An end of this id was not answered, and nothing is left under it. Either this call or another has ended the
    /// session, or the session has moved to a new token so long ago that its tombstone has expired.
    Presumed(SessionId),
    /// There was no session, or somebody else has ended it.
    Absent,
    /// The session was moved by a login, or its tombstones can't be followed. It lives on under an id that the caller
    /// doesn't know.
    Superseded,
}

/// Repeated attempts to end what is stored under an id.
struct Attempts<'a> {
    context: &'a Context,
    deadline: Instant,
    /// The version named by an attempt that was not answered. If nothing is left under the id, that attempt may have
    /// ended it.
    unsure: Option<Version>,
    /// The attempts that were made after the time was over.
    late: u32,
}

/// The most attempts after the time is over, if writes of other requests have come first. They are answered quickly, and a
/// logout should not fail because of them.
const MOST_LATE: u32 = 8;

/// The outcome of one attempt.
enum EndAttempt {
    Over(Ended),
    /// The session has changed, or the answer was lost. Look at the record again; it is included if the store returned
    /// it.
    Again(Option<Stored>),
}

/// How far an end has followed the session: the requested id, or one that the tombstones of renewals lead to.
struct Way {
    id: SessionId,
    /// The owner that the session must have: the one it was listed with, or had at the renewals that were followed. `None`
    /// if any will do.
    owner: Option<Option<Arc<str>>>,
    hops: usize,
}

/// Ends the session with this id, or the session that its tombstones lead to. Also ends a record that can't be opened.
pub(crate) async fn end(context: &Context, id: &SessionId) -> Result<Ended> {
    end_seen(context, id, None).await
}

/// Like [`end`], but for a session that was seen in this version. Loads it only if it has changed since.
pub(crate) async fn end_seen(context: &Context, id: &SessionId, seen: Option<&Version>) -> Result<Ended> {
    end_along(context, Way { id: *id, owner: None, hops: 0 }, seen).await
}

/// The same for a session that was listed with its owner. If it has another owner since, it is left as it is.
pub(crate) async fn end_listed(context: &Context, owner: &Arc<str>, id: &SessionId, listed: &Version) -> Result<Ended> {
    end_along(context, Way { id: *id, owner: Some(Some(Arc::clone(owner))), hops: 0 }, Some(listed)).await
}

async fn end_along(context: &Context, mut way: Way, seen: Option<&Version>) -> Result<Ended> {
    let mut attempts = Attempts::new(context);
    let mut newer = None;
    if let Some(version) = seen {
        match attempts.make(&way.id, version).await? {
            EndAttempt::Over(outcome) => return Ok(outcome),
            EndAttempt::Again(stored) => newer = stored,
        }
    }
    loop {
        let id = way.id;
        let stored = match newer.take() {
            Some(stored) => Ok(Some(stored)),
            None => context.store.load(&id).await,
        };
        let stored = match stored {
            Ok(Some(stored)) => stored,
            Ok(None) => return attempts.nothing_left(&id).await,
            // No version can be read, so only a plain remove is left. A damaged record leads no token to another
            // session. (If only this server can't open it, since it lacks a new key, another server can still renew the
            // session before the remove.)
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                return Ok(if remove_now(context, &id).await? { Ended::Done(id) } else { Ended::Absent });
            }
            Err(error) => return Err(error.during("load").on(&id).into()),
        };
        match stored.record.kind() {
            RecordKind::Session if !way.fits(&stored.record) => return Ok(Ended::Superseded),
            RecordKind::Tombstone if stored.record.is_grave() => return attempts.nothing_left(&id).await,
            RecordKind::Tombstone => match stored.record.forward() {
                Ok(Some(forward)) if way.follow(&forward) => {
                    attempts.unsure = None;
                    continue;
                }
                Ok(_) => return Ok(Ended::Superseded),
                // The tombstone says that the session lives on, but its forward can't be read.
                Err(error) => {
                    let error = StoreError::new(StoreErrorKind::Corrupt).during("end").on(&id).because(error);
                    return Err(error.into());
                }
            },
            // Also end a sealed record that nothing here opens, and an epoch, to which no token leads.
            RecordKind::Session | RecordKind::Sealed | RecordKind::Epoch => {}
        }
        attempts.have_seen(&stored.version);
        match attempts.make(&id, &stored.version).await? {
            EndAttempt::Over(outcome) => return Ok(outcome),
            EndAttempt::Again(stored) => newer = stored,
        }
    }
}

impl<'a> Attempts<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, deadline: context.deadline(), unsure: None, late: 0 }
    }

    /// Notes that the session is live in this version. If an end of another version was not answered, it can't take
    /// effect any more.
    fn have_seen(&mut self, version: &Version) {
        self.unsure = self.unsure.filter(|unsure| unsure == version);
    }

    /// Makes one attempt to end the session in this version.
    async fn make(&mut self, id: &SessionId, version: &Version) -> Result<EndAttempt> {
        let (mut newer, mut is_refused) = (None, false);
        match self.context.store.end(id, version, self.context.clock.now()).await {
            Ok(End::Ended) => return Ok(EndAttempt::Over(Ended::Done(*id))),
            Ok(End::Gone) => return self.nothing_left(id).await.map(EndAttempt::Over),
            Ok(End::Conflict(stored)) => {
                // Whatever is stored has another version.
                self.unsure = None;
                (newer, is_refused) = (stored, true);
            }
            // Damaged since it was seen: the next load reports that, and then it is removed.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {}
            // After `NotReplicated`, a second attempt that finds nothing would not tell whether replicas have the end.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                if self.late > 0 {
                    return Err(error.during("end").on(id).into());
                }
                self.unsure = Some(*version);
            }
            Err(error) => return Err(error.during("end").on(id).into()),
        }
        if Instant::now() < self.deadline {
            return Ok(EndAttempt::Again(newer));
        }
        // Even if the time is over, make another attempt, on what the last one met.
        let most = if is_refused { MOST_LATE } else { 1 };
        if self.late >= most {
            return Err(Error::session(ErrorKind::Contended, *id));
        }
        self.late += 1;
        Ok(EndAttempt::Again(newer))
    }

    /// Handles an id under which nothing is stored.
    ///
    /// The remove is needed even so. If the store has let go of the session, it may have to record that the session
    /// must not come back after a restart. If somebody else is ending it right now, it has certainly ended once the
    /// remove is answered.
    async fn nothing_left(&self, id: &SessionId) -> Result<Ended> {
        remove_now(self.context, id).await?;
        Ok(if self.unsure.is_some() { Ended::Presumed(*id) } else { Ended::Absent })
    }
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

/// Fails with [`Unconfirmed`](ErrorKind::Unconfirmed) if a session that was to be ended is absent but may not have
/// ended.
///
/// It may instead have moved to a new token, and the tombstone at the old id may have expired since. That is ruled out
/// if the session was loaded less than a tombstone's lifetime ago. A session past its absolute limit has ended anyway.
pub(crate) fn must_have_ended(context: &Context, live: &Live) -> Result<()> {
    let now = context.clock.now();
    if live.loaded.is_within(TOMBSTONE_LIFETIME, now) || now >= live.stored.record.absolute_limit() {
        return Ok(());
    }
    Err(Error::session(ErrorKind::Unconfirmed, live.id))
}

/// Ends a live session of this owner, and returns the id that it had. If there is no such session, returns `None` and
/// changes nothing.
pub(crate) async fn end_owned(context: &Context, owner: &str, id: &SessionId) -> Result<Option<SessionId>> {
    let mut attempts = Attempts::new(context);
    let mut at = *id;
    loop {
        let ended = match context.find_owned(owner, &at).await? {
            // If the session was renewed in the meantime, this is its new id.
            Some(live) => {
                if live.id != at {
                    attempts.unsure = None;
                }
                attempts.have_seen(&live.stored.version);
                at = live.id;
                match attempts.make(&at, &live.stored.version).await? {
                    EndAttempt::Over(ended) => Some(ended),
                    EndAttempt::Again(_) => None,
                }
            }
            // The session may be missing because of the end that was not answered.
            None if attempts.unsure.is_some() && !is_stored(context, &at).await? => {
                Some(attempts.nothing_left(&at).await?)
            }
            None => return Ok(None),
        };
        match ended {
            Some(Ended::Done(id) | Ended::Presumed(id)) => {
                context.emit(EventKind::Destroyed { id });
                return Ok(Some(id));
            }
            Some(Ended::Absent | Ended::Superseded) => return Ok(None),
            None => {}
        }
    }
}

/// Whether anything but a grave is stored under an id.
async fn is_stored(context: &Context, id: &SessionId) -> Result<bool> {
    let stored = context.store.load(id).await.map_err(|error| error.during("load").on(id))?;
    Ok(stored.is_some_and(|stored| !stored.record.is_grave()))
}

async fn remove_now(context: &Context, id: &SessionId) -> Result<bool, StoreError> {
    let outcome = match context.store.remove(id).await {
        // The first remove may not have arrived, so repeat it. Either way nothing is stored afterwards.
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => context.store.remove(id).await.map(|_| true),
        outcome => outcome,
    };
    outcome.map_err(|error| error.during("remove").on(id))
}
