//! From a request's changes to the store: once, whole, and never over what somebody else wrote.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    changes::{Change, Draft},
    load::{Found, find},
    settings::{ConflictPolicy, Settings},
    state::{Live, Origin, Renewal},
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::{EventKind, NoSessionReason},
    id::{Check, SessionId, SessionToken},
    record::{Owner, Record},
    store::{Create, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage, Version},
};

/// What stands for a time that can't be added to an instant: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// What is to be committed. It owns the log: a reference to closures would not be `Send`.
pub(crate) struct Work {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    pub(crate) log: Vec<Change>,
    pub(crate) renewal: Renewal,
    /// A conflict fails the commit.
    pub(crate) rejects: bool,
}

/// What is stored now.
pub(crate) struct Written {
    pub(crate) live: Live,
    /// The token to hand to the visitor, if the session has a new one.
    pub(crate) token: Option<SessionToken>,
}

/// What came of one try.
enum Attempt {
    Done(Written),
    /// Another request was first, or the write did not happen: look at the record again.
    Conflict,
    /// The session is not there any more.
    Gone,
}

/// A failure of the store, named after what was tried.
fn failed(operation: &'static str, id: &SessionId) -> impl FnOnce(StoreError) -> Error {
    move |error| error.during(operation).on(id).into()
}

/// Until when a write that meets conflicts is tried again.
pub(crate) fn deadline(settings: &Settings) -> Instant {
    after(settings.retry_for)
}

/// Fails if the time to retry is over.
pub(crate) fn within(deadline: Instant, id: &SessionId) -> Result<()> {
    if Instant::now() < deadline { Ok(()) } else { Err(Error::session(ErrorKind::Contended, *id)) }
}

/// The instant that is this long from now.
pub(crate) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    // Longer than a process lives is as good as for ever, and can be added to any instant.
    now.checked_add(time).unwrap_or(now + FOREVER)
}

/// Writes the changes. `None`: there was nothing to write, since the visitor has no session and stores nothing.
pub(crate) async fn write(settings: &Settings, work: &mut Work) -> Result<Option<Written>> {
    let deadline = deadline(settings);
    let mut turn = None;
    let mut tries = 1;
    loop {
        let live = match &work.origin {
            Origin::Live(live) => live.clone(),
            Origin::Superseded(id) if work.renewal < Renewal::Login => {
                return Err(Error::session(ErrorKind::Superseded, *id));
            }
            Origin::Superseded(_) | Origin::None => {
                let has_login = work.renewal == Renewal::Login;
                return if has_login || work.draft.is_dirty() {
                    create(settings, work, deadline).await.map(Some)
                } else {
                    Ok(None)
                };
            }
        };
        let is_revoked = match work.left_owner(&live) {
            Some(owner) => Box::pin(is_revoked(settings, live.id, owner)).await?,
            None => false,
        };
        let attempt = match work.renewal {
            _ if is_revoked => Attempt::Gone,
            Renewal::Keep => update(settings, work, &live).await?,
            Renewal::Renew | Renewal::Login => Box::pin(rename(settings, work, &live)).await?,
        };
        match attempt {
            Attempt::Done(written) => {
                if tries > 1 {
                    let record = &written.live.stored.record;
                    settings.emit(EventKind::ConflictMerged { id: live.id, record, tries });
                }
                return Ok(Some(written));
            }
            Attempt::Gone => work.start_over(live.id)?,
            Attempt::Conflict if work.rejects => {
                return Err(Error::session(ErrorKind::Conflict, live.id));
            }
            Attempt::Conflict => {
                let contended = || Error::session(ErrorKind::Contended, live.id);
                if turn.is_none() {
                    turn = Some(Box::pin(settings.queue.turn(live.id, deadline)).await.ok_or_else(contended)?);
                } else if Instant::now() >= deadline {
                    return Err(contended());
                }
                tries += 1;
                Box::pin(work.rebase(settings, &live)).await?;
            }
        }
    }
}

impl Work {
    /// Puts the changes on the newer record.
    async fn rebase(&mut self, settings: &Settings, live: &Live) -> Result<()> {
        let check = live.stored.record.check();
        match find(settings, &live.id, Some(check)).await.map_err(Error::from)? {
            Found::Live(stored) => {
                if settings.conflicts == ConflictPolicy::Merge {
                    self.draft = Draft::replayed(Some(Arc::clone(&stored.record)), &self.log)?;
                }
                self.origin = Origin::Live(Live { id: live.id, stored });
                Ok(())
            }
            Found::Absent => self.start_over(live.id),
            // The loop decides: a login goes on with a fresh session.
            Found::Superseded => self.fresh(Origin::Superseded(live.id)),
        }
    }

    /// The session is gone. A request that logs in or renews puts its own changes into a fresh one; the old data does
    /// not come along. Any other is too late.
    fn start_over(&mut self, id: SessionId) -> Result<()> {
        if self.renewal == Renewal::Keep {
            return Err(Error::session(ErrorKind::Gone, id));
        }
        self.fresh(Origin::None)
    }

    fn fresh(&mut self, origin: Origin) -> Result<()> {
        self.origin = origin;
        self.draft = Draft::replayed(None, &self.log)?;
        Ok(())
    }

    /// The owner that the session had and is to have no more.
    fn left_owner<'a>(&self, live: &'a Live) -> Option<&'a Owner> {
        live.stored.record.owner().filter(|held| self.draft.owner() != Some(held.name()))
    }

    /// The record as it is to be stored, but for the check of a new token.
    async fn record(&mut self, settings: &Settings, base: Option<&Record>, now: SystemTime) -> Result<Record> {
        let created_at = match base {
            Some(base) if self.renewal < Renewal::Login => base.created_at(),
            _ => now,
        };
        let lifetime = self.draft.lifetime().unwrap_or(settings.lifetime);
        let check = base.map_or(Check::from_bytes([0; 16]), Record::check);
        let record = Record::session(check, created_at, lifetime).with_entries(self.draft.entries()?);
        let owner = match (self.draft.new_owner().cloned(), base.and_then(Record::owner)) {
            (Some(name), held) => match held.filter(|held| *held.name() == name && self.renewal < Renewal::Login) {
                Some(held) => Some(held.clone()),
                None => Some(Box::pin(enroll(settings, name, &record, now)).await?),
            },
            (None, held) => held.filter(|_| self.draft.owner().is_some()).cloned(),
        };
        if let (Some(owner), Some(base)) = (&owner, base)
            && self.renewal < Renewal::Login
            && record.absolute_limit() > base.absolute_limit()
        {
            // The session lives longer than it was to live at its login, and so must the epoch that it is compared with.
            Box::pin(enroll(settings, Arc::clone(owner.name()), &record, now)).await?;
        }
        let record = record.with_owner(owner);
        // As at `insert`, what shrinks a record that is too large already is welcome; and nobody is kept from logging in.
        let before = base.map_or(0, |base| base.entries().as_bytes().len());
        if record.encoded_len() > settings.max_record && record.entries().as_bytes().len() > before {
            return Err(Error::too_large(None, record.encoded_len(), settings.max_record));
        }
        Ok(record)
    }
}

/// Whether the session was revoked since it was loaded. Asked where it would be live again without its owner, or with
/// another; where the owner stays, the epoch in the record keeps it revoked.
async fn is_revoked(settings: &Settings, id: SessionId, owner: &Owner) -> Result<bool> {
    let present = settings.store.owner_epoch(owner.name()).await.map_err(failed("owner_epoch", &id))?;
    let is_revoked = present != Some(owner.epoch());
    if is_revoked {
        settings.no_session(NoSessionReason::Revoked, &id, None);
    }
    Ok(is_revoked)
}

/// The owner with its present epoch, which lives at least as long as this session can.
async fn enroll(settings: &Settings, name: Arc<str>, record: &Record, now: SystemTime) -> Result<Owner> {
    let usage = Usage { used_at: now, expires_at: record.absolute_limit() };
    let epoch = settings.store.ensure_epoch(&name, usage).await;
    let epoch = epoch.map_err(|error| Error::from(error.during("ensure_epoch")))?;
    Owner::new(name, epoch).map_err(|error| Error::request(ErrorKind::Other).because(error))
}

/// Stores a new session under a fresh token.
async fn create(settings: &Settings, work: &mut Work, deadline: Instant) -> Result<Written> {
    loop {
        let now = settings.clock.now();
        let (token, id, check) = draw(settings)?;
        let record = Arc::new(work.record(settings, None, now).await?.with_check(check));
        let usage = Usage::at(&record, now);
        let version = match settings.store.create(&id, &record, usage).await {
            Ok(Create::Created(version)) => Some(version),
            // Two tokens of 192 bits with one id: the store answers at random, or somebody copies ids.
            Ok(Create::Exists) => None,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                // Nobody has the token yet, so what was not written is simply tried again under another.
                Box::pin(read_back(settings, &id, &record, error.during("create").on(&id))).await?
            }
            Err(error) => return Err(failed("create", &id)(error)),
        };
        if let Some(version) = version {
            settings.emit(EventKind::Created { id, record: &record, login: work.renewal == Renewal::Login });
            return Ok(written(id, record, version, usage, Some(token)));
        }
        if Instant::now() >= deadline {
            return Err(Error::session(ErrorKind::Contended, id));
        }
    }
}

/// Replaces the record that the request has seen.
async fn update(settings: &Settings, work: &mut Work, live: &Live) -> Result<Attempt> {
    let (id, expected) = (live.id, &live.stored.version);
    let now = settings.clock.now();
    let record = Arc::new(work.record(settings, Some(&live.stored.record), now).await?);
    let usage = Usage::at(&record, now);
    let version = match settings.store.update(&id, &record, expected, usage).await {
        Ok(Update::Updated(version)) => version,
        Ok(Update::Conflict) => return Ok(Attempt::Conflict),
        Ok(Update::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("update").on(&id);
            // Where the old version still stands, the write may yet arrive. Trying again could then run a closure on its
            // own result, so the outcome stays unknown.
            let Some(now) = Box::pin(look(settings, &id, &error)).await? else { return Ok(Attempt::Gone) };
            // Another request's closure may have come to the same record, from the same one: then ours is missing.
            if now.record != record || work.log.iter().any(|change| matches!(change, Change::Run(_))) {
                return Err(error.into());
            }
            now.version
        }
        Err(error) => return Err(failed("update", &id)(error)),
    };
    settings.emit(EventKind::Saved { id, record: &record });
    Ok(Attempt::Done(written(id, record, version, usage, None)))
}

/// Moves the session to a fresh token.
async fn rename(settings: &Settings, work: &mut Work, live: &Live) -> Result<Attempt> {
    let (from, expected) = (live.id, &live.stored.version);
    let now = settings.clock.now();
    let (token, to, check) = draw(settings)?;
    let record = Arc::new(work.record(settings, Some(&live.stored.record), now).await?.with_check(check));
    // The owner's sessions were revoked since this one was loaded: its data does not come along.
    if let (Some(held), Some(new)) = (live.stored.record.owner(), record.owner())
        && held.name() == new.name()
        && held.epoch() != new.epoch()
        && work.renewal == Renewal::Login
    {
        return Ok(Attempt::Gone);
    }
    let usage = Usage::at(&record, now);
    let version = match settings.store.rename(&from, expected, &to, &record, usage).await {
        Ok(Rename::Renamed(version)) => version,
        // `Exists` is a second token of 192 bits with the same id: try another.
        Ok(Rename::Conflict | Rename::Exists) => return Ok(Attempt::Conflict),
        Ok(Rename::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("rename").on(&from);
            // Another request's update, or its rename, is not ours.
            let tombstone = Record::tombstone(live.stored.record.check(), now);
            let superseded = look(settings, &from, &error).await?.is_some_and(|old| *old.record == tombstone);
            match read_back(settings, &to, &record, error.clone()).await? {
                Some(version) if superseded => version,
                _ => return Err(error.into()),
            }
        }
        Err(error) => return Err(failed("rename", &from)(error)),
    };
    settings.emit(EventKind::Renewed { from, to, record: &record, login: work.renewal == Renewal::Login });
    Ok(Attempt::Done(written(to, record, version, usage, Some(token))))
}

fn draw(settings: &Settings) -> Result<(SessionToken, SessionId, Check)> {
    let token = SessionToken::generate().map_err(|error| Error::request(ErrorKind::Entropy).because(error))?;
    let (id, check) = token.identify(settings.cookie.bare_name());
    Ok((token, id, check))
}

fn written(id: SessionId, record: Arc<Record>, version: Version, usage: Usage, token: Option<SessionToken>) -> Written {
    Written { live: Live { id, stored: Stored::new(record, version, usage) }, token }
}

/// What is there after a write that was not answered. If that can't be told either, the outcome stays unknown.
async fn look(settings: &Settings, id: &SessionId, unknown: &StoreError) -> Result<Option<Stored>> {
    settings.store.load(id).await.map_err(|_| unknown.clone().into())
}

/// The version of our own record, if it is there; `None` if nothing is.
async fn read_back(
    settings: &Settings,
    id: &SessionId,
    record: &Arc<Record>,
    unknown: StoreError,
) -> Result<Option<Version>> {
    match look(settings, id, &unknown).await? {
        Some(stored) if stored.record == *record => Ok(Some(stored.version)),
        Some(_) => Err(unknown.into()),
        None => Ok(None),
    }
}
