//! From a request's changes to the store: once, whole, and never over what somebody else wrote.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    changes::{Change, Draft, conflict, take_away},
    end::{End, end},
    load::{Follow, Found, find},
    settings::{ConflictPolicy, Settings},
    state::{Live, Moment, Origin, Renewal},
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::{Check, SessionId, SessionToken},
    record::{Forward, Owner, Record, TOMBSTONE_LIFETIME, renewed_value},
    store::{Create, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage, Version},
};

/// What stands for a time that can't be added to an instant: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// How long the tombstone of a renewal lives beyond the grace in which old tokens are served: longer than requests take, and
/// pages stay open. As long as it is there, whoever ends the session by its old id is led to where it is.
const LINK_LIFE: Duration = Duration::from_secs(3_600);

/// What is to be committed. It owns its copy of the log: a reference to closures would have to outlive an await.
pub(crate) struct Work {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    pub(crate) log: Vec<Change>,
    pub(crate) renewal: Renewal,
    /// A conflict fails the commit.
    pub(crate) rejects: bool,
    /// The handler has ended the session in another way.
    pub(crate) is_ended: bool,
    /// What was stored when a conflict could not be merged.
    pub(crate) newer: Option<Origin>,
    /// It is gone because it is revoked, which may be for a moment only.
    pub(crate) is_revoked: bool,
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
    /// Its owner's sessions were revoked.
    Revoked,
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
    if let Origin::Live(live) = &work.origin {
        if work.is_ended {
            let id = live.id;
            work.start_over(id)?;
        } else if let Some(key) = conflict(Some(&live.stored.record), &work.log) {
            // It has changed since the request read it, and a save in between has brought the newer record.
            return Err(Error::entry(ErrorKind::Conflict, key, None));
        } else {
            work.takes_from_nobody(live)?;
        }
    }
    loop {
        let live = match &work.origin {
            Origin::Live(live) => live.clone(),
            Origin::Superseded { id, .. } if work.renewal < Renewal::Login => {
                return Err(Error::session(ErrorKind::Superseded, *id));
            }
            &Origin::Superseded { id, is_linked: true } => {
                leave(settings, &id).await?;
                work.origin = Origin::Superseded { id, is_linked: false };
                continue;
            }
            Origin::Superseded { .. } | Origin::None => {
                let has_login = work.renewal == Renewal::Login;
                return if has_login || work.draft.is_dirty() {
                    create(settings, work, deadline).await.map(Some)
                } else {
                    Ok(None)
                };
            }
        };
        let attempt = match work.renewal {
            // Its renewal was another request's, and nothing is left to write.
            Renewal::Keep if tries > 1 && !work.draft.is_dirty() => {
                return Ok(Some(Written { live, token: None }));
            }
            Renewal::Keep => update(settings, work, &live).await?,
            Renewal::Renew | Renewal::Leave | Renewal::Login => Box::pin(rename(settings, work, &live)).await?,
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
            Attempt::Revoked => work.meet_revocation(live.id)?,
            Attempt::Conflict if work.rejects => {
                // For whoever discards the changes and goes on: it costs one load where a request has failed anyway.
                let found = Box::pin(find(settings, &live.id, Some(live.stored.record.check()), Follow::Forward)).await;
                if let Ok(Found::Live(now)) = found {
                    work.newer = Some(Origin::Live(now));
                }
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

/// Ends the session that a login's old token leads to, too late to be served it, before the login is stored: if that fails,
/// nobody is logged in.
///
/// It need not have been so when the request was loaded. A loads the session to log in over it. B renews it. More than the
/// grace later A commits: its rename meets the tombstone, and what that leads to is not A's to go on with any more. Without
/// this, it would live on after A's login.
async fn leave(settings: &Settings, id: &SessionId) -> Result<()> {
    // `Superseded`: it has been given to an owner since, and A's login is not about that one's session.
    if let End::Done(id) = Box::pin(end(settings, id)).await? {
        settings.emit(EventKind::Destroyed { id });
    }
    Ok(())
}

impl Work {
    /// Puts the changes on the newer record.
    async fn rebase(&mut self, settings: &Settings, live: &Live) -> Result<()> {
        let check = live.stored.record.check();
        match find(settings, &live.id, Some(check), Follow::Forward).await.map_err(Error::from)? {
            Found::Live(now) => {
                let was_renewed = now.id != live.id;
                self.takes_from_nobody(&now).inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                if was_renewed && self.renewal == Renewal::Renew {
                    // Of two renewals at once one is enough. Whoever has made it hands out the token.
                    self.renewal = Renewal::Keep;
                }
                let is_exact = self.log.iter().any(|change| matches!(change, Change::Exactly(_)));
                if settings.conflicts != ConflictPolicy::LastWriteWins || was_renewed || is_exact {
                    let replayed = Draft::replayed(Some(Arc::clone(&now.stored.record)), &self.log);
                    self.draft = replayed.inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                }
                let is_forwarded = live.is_forwarded || now.is_forwarded;
                self.origin = Origin::Live(Live { is_forwarded, ..now });
                Ok(())
            }
            Found::Absent => self.start_over(live.id),
            Found::Revoked => self.meet_revocation(live.id),
            // The loop decides: a login goes on with a fresh session.
            Found::Superseded { is_linked } => self.fresh(Origin::Superseded { id: live.id, is_linked }),
        }
    }

    /// Fails if the request would take the session from an owner of whom it did not know: under the same token, since it saw
    /// no owner to take it from.
    ///
    /// A and B load an anonymous session. B says that it is Ann's, and is committed. A has said that it is Bob's. Merged, Ann's
    /// token would be that of Bob's session.
    fn takes_from_nobody(&self, live: &Live) -> Result<()> {
        if self.renewal < Renewal::Leave && take_away(&live.stored.record, &self.log) {
            return Err(Error::session(ErrorKind::Conflict, live.id));
        }
        Ok(())
    }

    /// The session is gone. A request that logs in or renews puts its own changes into a fresh one; the old data does
    /// not come along. Any other is too late.
    fn start_over(&mut self, id: SessionId) -> Result<()> {
        if self.renewal == Renewal::Keep {
            return Err(Error::session(ErrorKind::Gone, id));
        }
        self.fresh(Origin::None)
    }

    /// The session is revoked, and that may be for a moment only: `revoke_others` revokes the one that it keeps as well, and
    /// then carries it over. So a login ends it before it goes on with a fresh one, and any other change is too late.
    fn meet_revocation(&mut self, id: SessionId) -> Result<()> {
        self.is_revoked = true;
        if self.renewal < Renewal::Login {
            return Err(Error::session(ErrorKind::Gone, id));
        }
        self.fresh(Origin::Superseded { id, is_linked: true })
    }

    fn fresh(&mut self, origin: Origin) -> Result<()> {
        self.origin = origin;
        self.draft = Draft::replayed(None, &self.log)?;
        Ok(())
    }

    /// The record as it is to be stored, but for the check of a new token.
    async fn record(&mut self, settings: &Settings, base: Option<&Record>, now: SystemTime) -> Result<Record> {
        // A login's session, and one that was taken from its owner, is a new one.
        let kept = base.filter(|_| self.renewal < Renewal::Leave);
        let created_at = kept.map_or(now, Record::created_at);
        let renewed = match self.renewal {
            Renewal::Keep => kept.and_then(Record::renewed_millis).map(u64::to_le_bytes),
            Renewal::Renew => base.map(|_| renewed_value(now)),
            Renewal::Leave | Renewal::Login => None,
        };
        let lifetime = self.draft.lifetime().unwrap_or(settings.lifetime);
        let check = base.map_or(Check::from_bytes([0; 16]), Record::check);
        let record = Record::session(check, created_at, lifetime).with_entries(self.draft.entries(renewed)?);
        let owner = match (self.draft.new_owner().cloned(), base.and_then(Record::owner)) {
            (Some(name), held) => match held.filter(|held| *held.name() == name && self.renewal < Renewal::Login) {
                Some(held) => Some(held.clone()),
                None => Some(Box::pin(enroll(settings, name, &record, now)).await?),
            },
            (None, held) => held.filter(|_| self.draft.owner().is_some()).cloned(),
        };
        if let (Some(owner), Some(kept)) = (&owner, kept)
            && record.absolute_limit() > kept.absolute_limit()
        {
            // The session lives longer than it was to live at its login, and so must the epoch that it is compared with.
            Box::pin(enroll(settings, Arc::clone(owner.name()), &record, now)).await?;
        }
        let record = record.with_owner(owner);
        // As at `insert`, what shrinks a record that is too large already is welcome; and nobody is kept from logging in.
        let before = base.map_or(0, |base| base.entries().as_bytes().len());
        let length = self.draft.encoded_len();
        if length > settings.max_record && record.entries().as_bytes().len() > before {
            return Err(Error::too_large(None, length, settings.max_record));
        }
        Ok(record)
    }
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
    let mut usage = Usage::at(&record, now);
    if live.is_forwarded {
        // As long as nobody has come with the new token, no use of it is recorded.
        usage.used_at = live.stored.used_at;
    }
    let version = match settings.store.update(&id, &record, expected, usage).await {
        Ok(Update::Updated(version)) => version,
        Ok(Update::Conflict) => return Ok(Attempt::Conflict),
        Ok(Update::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("update").on(&id);
            // Where the old version still stands, the write may yet arrive. Trying again could then run a closure on its
            // own result, so the outcome stays unknown.
            // The same where the session has ended since: others may have read what this request has written.
            let Some(now) = Box::pin(look(settings, &id, &error)).await? else { return Err(error.into()) };
            // Another request may have come to the same record, from the same one. Where that means that one update of
            // two is missing, equal content is no proof that it is ours.
            if now.record != record || !work.log.iter().all(Change::is_blind) {
                return Err(error.into());
            }
            now.version
        }
        Err(error) => return Err(failed("update", &id)(error)),
    };
    settings.emit(EventKind::Saved { id, record: &record });
    let mut written = written(id, record, version, usage, None);
    written.live.is_forwarded = live.is_forwarded;
    Ok(Attempt::Done(written))
}

/// Moves the session to a fresh token.
async fn rename(settings: &Settings, work: &mut Work, live: &Live) -> Result<Attempt> {
    let (from, expected, before) = (live.id, &live.stored.version, &live.stored.record);
    let now = settings.clock.now();
    let (token, to, check) = draw(settings)?;
    let record = Arc::new(work.record(settings, Some(before), now).await?.with_check(check));
    // The owner's sessions were revoked since this one was loaded: its data does not come along.
    if let (Some(held), Some(new)) = (before.owner(), record.owner())
        && held.name() == new.name()
        && held.epoch() != new.epoch()
        && work.renewal == Renewal::Login
    {
        return Ok(Attempt::Revoked);
    }
    let tombstone = Arc::new(tombstone(settings, work.renewal, before, &record, to, now)?);
    let usage = Usage::at(&record, now);
    let version = match settings.store.rename(&from, expected, &tombstone, &to, &record, usage).await {
        Ok(Rename::Renamed(version)) => version,
        // `Exists` is a second token of 192 bits with the same id: try another.
        Ok(Rename::Conflict | Rename::Exists) => return Ok(Attempt::Conflict),
        Ok(Rename::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("rename").on(&from);
            // No other write leaves this tombstone: it has random bytes of its own.
            let is_ours = look(settings, &from, &error).await?.is_some_and(|old| *old.record == *tombstone);
            match read_back(settings, &to, &record, error.clone()).await? {
                Some(version) if is_ours => version,
                _ => return Err(error.into()),
            }
        }
        Err(error) => return Err(failed("rename", &from)(error)),
    };
    settings.emit(EventKind::Renewed { from, to, record: &record, login: work.renewal == Renewal::Login });
    Ok(Attempt::Done(written(to, record, version, usage, Some(token))))
}

/// What stands at the old id. It leads on only from a renewal that leaves the session with the owner that it had: one that
/// follows a token from before a login, planted or not, must not get into it.
fn tombstone(
    settings: &Settings,
    renewal: Renewal,
    before: &Record,
    after: &Record,
    to: SessionId,
    now: SystemTime,
) -> Result<Record> {
    let owner = before.owner().map(Owner::name);
    let forward = (renewal == Renewal::Renew && owner == after.owner().map(Owner::name)).then(|| Forward {
        to,
        until: crate::clock::later(now, settings.renewal_grace),
        owner: owner.cloned(),
    });
    // It has nothing to lead to when the session has reached its absolute limit.
    let left = before.absolute_limit().duration_since(now).unwrap_or_default();
    let life =
        if forward.is_some() { LINK_LIFE.saturating_add(settings.renewal_grace).min(left) } else { TOMBSTONE_LIFETIME };
    Record::superseded(before.check(), now, life, forward.as_ref())
        .map_err(|error| Error::request(ErrorKind::Entropy).because(error))
}

fn draw(settings: &Settings) -> Result<(SessionToken, SessionId, Check)> {
    let token = SessionToken::generate().map_err(|error| Error::request(ErrorKind::Entropy).because(error))?;
    let (id, check) = token.identify(settings.cookie.bare_name());
    Ok((token, id, check))
}

fn written(id: SessionId, record: Arc<Record>, version: Version, usage: Usage, token: Option<SessionToken>) -> Written {
    let loaded = Moment::new(usage.used_at);
    Written { live: Live { id, stored: Stored::new(record, version, usage), is_forwarded: false, loaded }, token }
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
