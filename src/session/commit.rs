//! From a request's changes to the store: once, whole, and never over what somebody else wrote.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    changes::{Change, Draft, conflict, take_away},
    end::{Ended, end},
    load::{Follow, Found, find},
    settings::{ConflictPolicy, Settings},
    state::{Live, Moment, Origin, Renewal, Unsure},
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

/// How long the tombstone of a renewal lives after the grace, in which old tokens are served, is over. It must outlast
/// requests and open pages: while it is there, ending the session by its old id finds the renewed session.
const LINK_LIFE: Duration = Duration::from_secs(3_600);

/// The input of a commit. It owns its copy of the log, since a reference to closures would have to live across an
/// await.
pub(crate) struct Work {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    pub(crate) log: Vec<Change>,
    pub(crate) renewal: Renewal,
    /// A conflict fails the commit.
    pub(crate) rejects: bool,
    /// The handler has ended the session by its owner or its id.
    pub(crate) is_ended: bool,
    /// The layer renews, not the handler.
    pub(crate) is_periodic: bool,
    /// Under a policy that rejects conflicts: another write that changed no data is none.
    pub(crate) merges_same_data: bool,
    /// How far a renewed session is followed: a stream holds it for longer than old tokens are served.
    pub(crate) follow: Follow,
    /// Sessions of the request's tokens that are revoked, and are to end before a fresh session begins.
    pub(crate) revoked: Vec<SessionId>,
    /// The stored state, if a conflict could not be merged.
    pub(crate) newer: Option<Origin>,
    /// A move to a new token that was not answered.
    pub(crate) unsure: Option<Box<Unsure>>,
    /// The session is revoked. That can be for a moment only.
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
            // Ended by its owner's name, it is only revoked as far as this request knows.
            work.revoked.push(id);
        } else if let Some(key) = conflict(Some(&live.stored.record), &work.log) {
            // Another request changed the entry after this one had read it, and an earlier `save` loaded the newer
            // record.
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
                if work.renewal < Renewal::Login && !work.draft.is_dirty() {
                    return Ok(None);
                }
                work.leave_revoked(settings).await?;
                return create(settings, work, deadline).await.map(Some);
            }
        };
        let attempt = match work.renewal {
            // Another request has renewed the session, and nothing is left to write.
            Renewal::Keep if tries > 1 && !work.draft.is_dirty() => {
                return Ok(Some(Written { live, token: None }));
            }
            Renewal::Keep => update(settings, work, &live).await?,
            Renewal::Renew => Box::pin(rename(settings, work, &live)).await?,
            Renewal::Leave | Renewal::Login => {
                work.leave_revoked(settings).await?;
                Box::pin(rename(settings, work, &live)).await?
            }
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
            // A renewal, or the record of a first use, changes no data that this request could overwrite.
            Attempt::Conflict if work.rejects && !Box::pin(work.meets_same_data(settings, &live)).await => {
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
    if let Ended::Done(id) = Box::pin(end(settings, id)).await? {
        settings.emit(EventKind::Destroyed { id });
    }
    Ok(())
}

impl Work {
    /// Ends the revoked sessions that the request's tokens name, before the browser gets the token of a fresh one.
    ///
    /// `revoke_others` revokes the session that it keeps, and then carries it over. A request that was loaded in between
    /// begins a fresh session. Without this, the kept one would live on under a token that the browser has dropped, and
    /// nobody could log it out.
    async fn leave_revoked(&mut self, settings: &Settings) -> Result<()> {
        while let Some(id) = self.revoked.last() {
            leave(settings, id).await?;
            self.revoked.pop();
        }
        Ok(())
    }

    /// Whether the stored record has the data that this request has seen, so that there is nothing to reject. Otherwise keeps
    /// it for a handler that discards its changes and continues: one load, and only after a failure.
    async fn meets_same_data(&mut self, settings: &Settings, live: &Live) -> bool {
        let check = live.stored.record.check();
        let Ok(Found::Live(now)) = find(settings, &live.id, Some(check), self.follow).await else { return false };
        if self.merges_same_data && now.stored.record.has_data_of(&live.stored.record) {
            return true;
        }
        let is_forwarded = live.is_forwarded || now.is_forwarded;
        self.newer = Some(Origin::Live(Live { is_forwarded, ..now }));
        false
    }

    /// Puts the changes on the newer record.
    async fn rebase(&mut self, settings: &Settings, live: &Live) -> Result<()> {
        let check = live.stored.record.check();
        match find(settings, &live.id, Some(check), self.follow).await.map_err(Error::from)? {
            Found::Live(now) => {
                let is_forwarded = live.is_forwarded || now.is_forwarded;
                let now = Live { is_forwarded, ..now };
                let was_renewed = now.id != live.id;
                self.takes_from_nobody(&now).inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                if was_renewed && self.renewal == Renewal::Renew {
                    // Two requests renew at once: one renewal is enough, and the first one hands out the token.
                    self.renewal = Renewal::Keep;
                }
                let is_exact = self.log.iter().any(|change| matches!(change, Change::Exactly(_)));
                // A request that has changed nothing and only renews has no view to put over what others have written.
                let is_merged = was_renewed || is_exact || self.log.is_empty();
                if settings.conflicts != ConflictPolicy::LastWriteWins || is_merged {
                    let replayed = Draft::replayed(Some(Arc::clone(&now.stored.record)), &self.log);
                    self.draft = replayed.inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                }
                self.origin = Origin::Live(now);
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
    /// not come along. Any other is too late, also if the layer was about to renew it: the handler has not asked for a new
    /// session.
    fn start_over(&mut self, id: SessionId) -> Result<()> {
        if self.renewal == Renewal::Keep || self.is_periodic {
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
    async fn record(&mut self, settings: &Settings, base: Option<&Arc<Record>>, now: SystemTime) -> Result<Record> {
        // A login begins a new session, and so does taking a session from its owner.
        let kept = base.filter(|_| self.renewal < Renewal::Leave);
        let created_at = kept.map_or(now, |kept| kept.created_at());
        let renewed = match self.renewal {
            Renewal::Keep => kept.and_then(|kept| kept.renewed_millis()).map(u64::to_le_bytes),
            Renewal::Renew => base.map(|_| renewed_value(now)),
            Renewal::Leave | Renewal::Login => None,
        };
        let lifetime = self.draft.lifetime().unwrap_or(settings.lifetime);
        let check = base.map_or(Check::from_bytes([0; 16]), |base| base.check());
        let record = Record::session(check, created_at, lifetime).with_entries(self.draft.entries(renewed)?);
        let owner = match (self.draft.new_owner().cloned(), base.and_then(|base| base.owner())) {
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
        // The time of a renewal is none of the application's bytes.
        let before = base.map_or(0, |base| Draft::new(Some(Arc::clone(base))).entries_len());
        let length = self.draft.encoded_len();
        if length > settings.max_record && self.draft.entries_len() > before {
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
            return Ok(written(id, record, version, usage, now, Some(token)));
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
        // No request has presented the new token yet, so no use of it is recorded.
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
            // Another request may have computed the same record from the same version. If that could mean that one of
            // two updates is missing, equal content does not prove that this write was stored.
            if now.record != record || !work.log.iter().all(Change::is_blind) {
                return Err(error.into());
            }
            // As the store has it: the other write may have been the later one.
            usage = now.usage();
            now.version
        }
        Err(error) => return Err(failed("update", &id)(error)),
    };
    settings.emit(EventKind::Saved { id, record: &record });
    let mut written = written(id, record, version, usage, now, None);
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
            match read_back_rename(settings, (&from, &tombstone), (&to, &record), error).await {
                Ok(version) => version,
                Err(error) => {
                    let unsure = Unsure { from, tombstone, to, check, token, renewal: work.renewal };
                    work.unsure = Some(Box::new(unsure));
                    return Err(error);
                }
            }
        }
        Err(error) => return Err(failed("rename", &from)(error)),
    };
    settings.emit(EventKind::Renewed { from, to, record: &record, login: work.renewal == Renewal::Login });
    Ok(Attempt::Done(written(to, record, version, usage, now, Some(token))))
}

/// The tombstone for the old id. It has a forward only if the session was renewed and keeps its owner: a request with a
/// token from before a login, which may have been planted, must not reach the session of that login.
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
    // A forward is of no use after the session's absolute limit.
    let left = after.absolute_limit().duration_since(now).unwrap_or_default();
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

fn written(
    id: SessionId,
    record: Arc<Record>,
    version: Version,
    usage: Usage,
    now: SystemTime,
    token: Option<SessionToken>,
) -> Written {
    let loaded = Moment::new(now);
    Written { live: Live { id, stored: Stored::new(record, version, usage), is_forwarded: false, loaded }, token }
}

/// What is there after a write that was not answered. If that can't be told either, the outcome stays unknown.
async fn look(settings: &Settings, id: &SessionId, unknown: &StoreError) -> Result<Option<Stored>> {
    settings.store.load(id).await.map_err(|_| unknown.clone().into())
}

/// The version of the session at its new id, if it has moved there by our own rename.
async fn read_back_rename(
    settings: &Settings,
    (from, tombstone): (&SessionId, &Arc<Record>),
    (to, record): (&SessionId, &Arc<Record>),
    unknown: StoreError,
) -> Result<Version> {
    // No other write leaves this tombstone: it has random bytes of its own.
    let is_ours = look(settings, from, &unknown).await?.is_some_and(|old| old.record == *tombstone);
    match read_back(settings, to, record, unknown.clone()).await? {
        Some(version) if is_ours => Ok(version),
        _ => Err(unknown.into()),
    }
}

/// What has become of a move that was not answered: the session under its new token, if it has moved there and is still live.
/// An error gives the move back, to be asked about again.
pub(crate) async fn look_after(
    settings: &Settings,
    unsure: Box<Unsure>,
) -> Result<Option<Written>, (Box<Unsure>, Error)> {
    let Unsure { from, tombstone, to, check, .. } = &*unsure;
    let found = async {
        let old = settings.store.load(from).await.map_err(failed("load", from))?;
        if old.is_none_or(|old| old.record != *tombstone) {
            return Ok(None);
        }
        Ok(match find(settings, to, Some(*check), Follow::Forward).await? {
            Found::Live(live) if live.id == *to => Some(live),
            Found::Live(_) | Found::Superseded { .. } | Found::Revoked | Found::Absent => None,
        })
    };
    match found.await {
        Ok(live) => Ok(live.map(|live| Written { live, token: Some(unsure.token) })),
        Err(error) => Err((unsure, error)),
    }
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
