//! One attempt to write to the store: a new session, a newer record, or a session under a new token.
//!
//! An attempt that is not answered is read back. [`Attempt::Done`] is returned only if this attempt is what is stored.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    changes::{Change, TokenChange},
    context::{Context, check_deadline, failed},
    find::{Follow, Found},
    live::{Live, Moment, Unsure},
    work::Work,
};
use crate::{
    clock,
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::{SessionId, SessionToken, TokenCheck},
    record::{Forward, Owner, Record, TOMBSTONE_LIFETIME},
    store::{Create, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage, Version},
};

/// How long a renewal's tombstone lives after the grace in which old tokens are served. It must outlast running
/// requests and open pages: as long as it exists, ending the session by its old id finds the renewed session.
const LINK_LIFE: Duration = Duration::from_secs(3_600);

/// The stored session after a write.
pub(super) struct Written {
    pub(super) live: Live,
    /// The token to hand to the visitor, if the session has a new one.
    pub(super) token: Option<SessionToken>,
}

/// The outcome of one attempt.
pub(super) enum Attempt {
    Done(Written),
    /// Another request wrote first, or nothing was written. Look at the record again; it is included if the store
    /// returned it.
    Conflict(Option<Stored>),
    /// The session no longer exists.
    Gone,
    /// Its owner's sessions were revoked.
    Revoked,
}

/// Stores a new session under a fresh token.
pub(super) async fn create(context: &Context, work: &mut Work, deadline: Instant) -> Result<Written> {
    loop {
        let now = context.clock.now();
        let (token, id, check) = draw(context)?;
        let record = Arc::new(work.record(context, None, now).await?.with_check(check));
        let usage = Usage::at(&record, now);
        let version = match context.store.create(&id, &record, usage).await {
            Ok(Create::Created(version)) => Some(version),
            // Two 192-bit tokens have the same id: the store gives random answers, or somebody copies ids.
            Ok(Create::Exists) => None,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                // Nobody has the token yet. If nothing was written, the loop tries again under another token.
                Box::pin(read_back(context, &id, &record, error.during("create").on(&id))).await?
            }
            Err(error) => return Err(failed("create", &id)(error)),
        };
        if let Some(version) = version {
            context.emit(EventKind::Created { id, record: &record, login: work.token_change == TokenChange::Login });
            return Ok(written(id, record, version, usage, now, Some(token)));
        }
        check_deadline(deadline, &id)?;
    }
}

/// Replaces the record that the request has seen.
pub(super) async fn update(context: &Context, work: &mut Work, live: &Live) -> Result<Attempt> {
    let (id, expected) = (live.id, &live.stored.version);
    let now = context.clock.now();
    let record = Arc::new(work.record(context, Some(&live.stored.record), now).await?);
    let mut usage = live.usage(&record, now);
    let answer = match work.refused.take().filter(|refused| refused.is_about(live)) {
        Some(refused) => refused.answer,
        None => context.store.update(&id, &record, expected, usage).await,
    };
    let version = match answer {
        Ok(Update::Updated(version)) => version,
        Ok(Update::Conflict(newer)) => return Ok(Attempt::Conflict(newer)),
        Ok(Update::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("update").on(&id);
            // If the old version is still stored, the write may yet arrive. Trying again could then run a closure on
            // its own result, so the outcome stays unknown. It also stays unknown if the session has ended since:
            // others may have read what this request wrote.
            let Some(now) = Box::pin(load_after_unknown(context, &id, &error)).await? else { return Err(error.into()) };
            // Another request may have computed the same record from the same version. Equal content then doesn't prove
            // that this write was stored: unless the log is blind, one of two updates may be missing.
            if now.record != record || !work.log.iter().all(Change::is_blind) {
                return Err(error.into());
            }
            // Take the stored times: the other write may have been the later one.
            usage = now.usage();
            now.version
        }
        Err(error) => return Err(failed("update", &id)(error)),
    };
    context.emit(EventKind::Saved { id, record: &record });
    let mut written = written(id, record, version, usage, now, None);
    written.live.is_forwarded = live.is_forwarded;
    Ok(Attempt::Done(written))
}

/// Moves the session to a new token.
pub(super) async fn rename(context: &Context, work: &mut Work, live: &Live) -> Result<Attempt> {
    let (from, expected, before) = (live.id, &live.stored.version, &live.stored.record);
    let now = context.clock.now();
    let (token, to, check) = draw(context)?;
    let record = Arc::new(work.record(context, Some(before), now).await?.with_check(check));
    // The owner's sessions were revoked after this one was loaded, so its data must not be carried over.
    if let (Some(owner), Some(new)) = (before.owner(), record.owner())
        && owner.name() == new.name()
        && owner.epoch() != new.epoch()
        && work.token_change == TokenChange::Login
    {
        return Ok(Attempt::Revoked);
    }
    let tombstone = Arc::new(tombstone(context, work.token_change, before, &record, to, now)?);
    let usage = Usage::at(&record, now);
    let version = match context.store.rename(&from, expected, &tombstone, &to, &record, usage).await {
        Ok(Rename::Renamed(version)) => version,
        Ok(Rename::Conflict(newer)) => return Ok(Attempt::Conflict(newer)),
        // Two 192-bit tokens have the same id. Try another token.
        Ok(Rename::Exists) => return Ok(Attempt::Conflict(None)),
        Ok(Rename::Gone) => return Ok(Attempt::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
            let error = error.during("rename").on(&from);
            match read_back_rename(context, (&from, &tombstone), (&to, &record), error).await {
                Ok(version) => version,
                Err(error) => {
                    let token_change = work.token_change;
                    let unsure =
                        Unsure { from, tombstone, to, check, token, token_change, is_settled_by_reading: true };
                    work.unsure = Some(Box::new(unsure));
                    return Err(error);
                }
            }
        }
        Err(error) if error.may_have_happened() => {
            // The session may be there under its new token, so a `destroy` must end it there as well.
            let token_change = work.token_change;
            let unsure = Unsure { from, tombstone, to, check, token, token_change, is_settled_by_reading: false };
            work.unsure = Some(Box::new(unsure));
            return Err(failed("rename", &from)(error));
        }
        Err(error) => return Err(failed("rename", &from)(error)),
    };
    context.emit(EventKind::Renewed { from, to, record: &record, login: work.token_change == TokenChange::Login });
    Ok(Attempt::Done(written(to, record, version, usage, now, Some(token))))
}

/// Creates the tombstone for the old id. It has a forward only if the session was renewed and keeps its owner. A token
/// from before a login may have been planted, so requests with it must not reach the session of that login.
fn tombstone(
    context: &Context,
    token_change: TokenChange,
    before: &Record,
    after: &Record,
    to: SessionId,
    now: SystemTime,
) -> Result<Record> {
    let owner = before.owner().map(Owner::name);
    let forward = (token_change == TokenChange::Renew && owner == after.owner().map(Owner::name)).then(|| Forward {
        to,
        until: clock::later(now, context.settings.renewal_grace),
        owner: owner.cloned(),
    });
    // A forward is of no use after the session's absolute limit.
    let left = after.absolute_limit().duration_since(now).unwrap_or_default();
    let life = if forward.is_some() {
        LINK_LIFE.saturating_add(context.settings.renewal_grace).min(left)
    } else {
        TOMBSTONE_LIFETIME
    };
    Record::tombstone(before.check(), now, life, forward.as_ref())
        .map_err(|error| Error::request(ErrorKind::Entropy).because(error))
}

pub(super) fn draw(context: &Context) -> Result<(SessionToken, SessionId, TokenCheck)> {
    let token = SessionToken::generate().map_err(|error| Error::request(ErrorKind::Entropy).because(error))?;
    let (id, check) = context.identify(&token);
    Ok((token, id, check))
}

pub(super) fn written(
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

/// Loads what is stored after a write whose outcome is unknown. If the load fails, the outcome stays unknown.
async fn load_after_unknown(context: &Context, id: &SessionId, unknown: &StoreError) -> Result<Option<Stored>> {
    context.store.load(id).await.map_err(|_| unknown.clone().into())
}

/// Returns the version of the session at its new id if our own rename moved it there. Otherwise the outcome stays
/// unknown.
async fn read_back_rename(
    context: &Context,
    (from, tombstone): (&SessionId, &Arc<Record>),
    (to, record): (&SessionId, &Arc<Record>),
    unknown: StoreError,
) -> Result<Version> {
    // No other write leaves this tombstone: it contains random bytes.
    let is_ours = load_after_unknown(context, from, &unknown).await?.is_some_and(|old| old.record == *tombstone);
    match read_back(context, to, record, unknown.clone()).await? {
        Some(version) if is_ours => Ok(version),
        _ => Err(unknown.into()),
    }
}

/// Finds out what became of a move to a new token that was not answered. Returns the session under its new token if it
/// moved there and is still live. An error includes the move, so that it can be looked up again later.
pub(crate) async fn resolve_unsure(
    context: &Context,
    unsure: Box<Unsure>,
) -> Result<Option<Written>, (Box<Unsure>, Error)> {
    let Unsure { from, tombstone, to, check, is_settled_by_reading, .. } = &*unsure;
    let found = async {
        if !is_settled_by_reading {
            return Err(Error::session(ErrorKind::OutcomeUnknown, *from));
        }
        let old = context.store.load(from).await.map_err(failed("load", from))?;
        if old.is_none_or(|old| old.record != *tombstone) {
            return Ok(None);
        }
        Ok(match context.find(to, Some(*check), Follow::Forward).await? {
            Found::Live(live) if live.id == *to => Some(live),
            Found::Live(_) | Found::Superseded { .. } | Found::Revoked | Found::Absent => None,
        })
    };
    match found.await {
        Ok(live) => Ok(live.map(|live| Written { live, token: Some(unsure.token) })),
        Err(error) => Err((unsure, error)),
    }
}

/// Returns the version of our own record if it is stored, or `None` if nothing is. If another record is stored, the
/// outcome stays unknown.
async fn read_back(
    context: &Context,
    id: &SessionId,
    record: &Arc<Record>,
    unknown: StoreError,
) -> Result<Option<Version>> {
    match load_after_unknown(context, id, &unknown).await? {
        Some(stored) if stored.record == *record => Ok(Some(stored.version)),
        Some(_) => Err(unknown.into()),
        None => Ok(None),
    }
}
