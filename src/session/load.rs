//! From the request's tokens to the session that they name.

use std::{sync::Arc, time::Duration};

use tracing::Instrument;

use super::{
    settings::{DamagedPolicy, Settings},
    state::{Live, Moment, Origin},
};
use crate::{
    cookie::Tokens,
    events::{EventKind, NoSessionReason, span},
    id::{Check, SessionId},
    record::{Forward, Owner, Record, RecordKind},
    store::{SessionStore, StoreError, StoreErrorKind, Stored},
};

/// Why the request's session could not be told.
#[derive(Debug, Clone)]
pub(crate) enum LoadFailure {
    /// The store could not answer.
    Store(StoreError),
    /// The record is damaged, or no key opens it.
    Damaged(StoreError),
    /// Two cookies name two live sessions.
    TwoSessions,
    /// Other requests have the session; this one's time to wait is over, or too many wait already.
    Locked { retry_after: Duration },
    /// Requests are to run one after another, and the store has no leases.
    NoLeases(StoreError),
}

/// What the request's tokens led to.
pub(crate) struct Loaded {
    pub(crate) origin: Origin,
    /// Sessions that could not be opened. They are left alone unless the request destroys its session.
    pub(crate) unopened: Vec<SessionId>,
    /// Sessions that are revoked. They end when the request destroys its session or begins a fresh one.
    ///
    /// A session can be revoked for a moment only: `revoke_others` revokes the one that it keeps, and then carries it
    /// over. If a logout came just then and left it alone, it would answer "logged out", and the session would live on.
    /// If a login left it alone, it would live on under a token that the browser has dropped.
    pub(crate) revoked: Vec<SessionId>,
    /// Another session to which a forward leads. A later token can still make both of them give way.
    rival: Option<SessionId>,
}

/// What a stored record is to a request that holds the token of this check.
pub(crate) enum Found {
    Live(Live),
    /// A newer token has replaced this one, and this request may not follow the tombstone to the session.
    Superseded {
        is_linked: bool,
    },
    /// Not there, or not for this token; the reason is an event.
    Absent,
    /// There, and its owner's sessions were revoked since it was logged in.
    Revoked,
}

/// How far a tombstone is followed to the renewed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Until the forward's `until`: for a request that came with the old token.
    Forward,
    /// As long as the tombstone lives: for a caller that ends the session or knows its old id.
    Link,
}

/// How many tombstones are followed. A session that is renewed every few minutes has one or two with a valid forward.
pub(crate) const MOST_HOPS: usize = 8;

/// How many are followed by those who end the session, or know its old id. A tombstone lives for an hour and the grace, and
/// the layer renews at most once in a minute, unless the application does so itself.
pub(crate) const MOST_LINKS: usize = 64;

/// Looks up what the tokens name. One live session is the request's; two are refused, since one of them was planted.
pub(crate) async fn load(settings: &Settings, tokens: &Tokens) -> Result<Loaded, LoadFailure> {
    if tokens.are_several() {
        // Boxed: hardly a request has several, and every handler's future has room for what is not boxed.
        return Box::pin(load_several(settings, tokens)).await;
    }
    let Some(token) = tokens.iter().next() else { return Ok(Loaded::NOTHING) };
    let (id, check) = token.identify(settings.cookie.bare_name());
    // As `find` does it, but with no room for `find` in every handler's future.
    let found = if span::are_wanted() {
        Box::pin(find(settings, &id, Some(check), Follow::Forward)).await
    } else {
        look_up(settings, &id, Some(check), Follow::Forward).await
    };
    let mut loaded = Loaded::NOTHING;
    loaded.take(settings, id, found)?;
    Ok(loaded)
}

async fn load_several(settings: &Settings, tokens: &Tokens) -> Result<Loaded, LoadFailure> {
    let mut loaded = Loaded::NOTHING;
    for token in tokens.iter() {
        let (id, check) = token.identify(settings.cookie.bare_name());
        let found = find(settings, &id, Some(check), Follow::Forward).await;
        loaded.take(settings, id, found)?;
    }
    loaded.is_one(settings)?;
    Ok(loaded)
}

impl Loaded {
    const NOTHING: Self = Self { origin: Origin::None, unopened: Vec::new(), revoked: Vec::new(), rival: None };

    /// Takes in what the next token led to.
    fn take(
        &mut self,
        settings: &Settings,
        id: SessionId,
        found: Result<Found, StoreError>,
    ) -> Result<(), LoadFailure> {
        match found {
            Ok(Found::Live(live)) => match &self.origin {
                // The request has the old and the new token of one session.
                Origin::Live(first) if first.id == live.id => {
                    let is_forwarded = first.is_forwarded && live.is_forwarded;
                    self.origin = Origin::Live(Live { is_forwarded, ..live });
                }
                // A token that leads there only by a forward gives way to one that names a live session.
                Origin::Live(_) if live.is_forwarded => self.rival = Some(live.id),
                Origin::Live(first) if first.is_forwarded => self.go_on_with(settings, live),
                Origin::Live(first) => return Err(two_sessions(settings, first.id, live.id)),
                Origin::None | Origin::Superseded { .. } => self.go_on_with(settings, live),
            },
            Ok(Found::Superseded { is_linked }) => {
                if let Origin::None = self.origin {
                    self.origin = Origin::Superseded { id, is_linked };
                }
            }
            Ok(Found::Absent) => {}
            Ok(Found::Revoked) => self.revoked.push(id),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                settings.emit(EventKind::Damaged { id, error: &error });
                if settings.damaged == DamagedPolicy::Fail {
                    return Err(LoadFailure::Damaged(error));
                }
                self.unopened.push(id);
            }
            Err(error) => {
                settings.emit(EventKind::LoadFailed { id, error: &error });
                return Err(LoadFailure::Store(error));
            }
        }
        Ok(())
    }

    /// Refuses two sessions to both of which only forwards lead.
    fn is_one(&self, settings: &Settings) -> Result<(), LoadFailure> {
        match (&self.origin, self.rival) {
            (Origin::Live(live), Some(rival)) if live.is_forwarded && live.id != rival => {
                Err(two_sessions(settings, live.id, rival))
            }
            _ => Ok(()),
        }
    }

    fn go_on_with(&mut self, settings: &Settings, live: Live) {
        settings.emit(EventKind::Loaded { id: live.id, record: &live.stored.record });
        self.origin = Origin::Live(live);
    }
}

fn two_sessions(settings: &Settings, first: SessionId, second: SessionId) -> LoadFailure {
    settings.emit(EventKind::TwoLiveCookies { first, second });
    LoadFailure::TwoSessions
}

/// Looks up one id. Without a check (a job that knows the id, not the token) the record's own is accepted.
pub(crate) async fn find(
    settings: &Settings,
    id: &SessionId,
    check: Option<Check>,
    follow: Follow,
) -> Result<Found, StoreError> {
    if span::are_wanted() {
        return Box::pin(look_up(settings, id, check, follow).instrument(span::load(id))).await;
    }
    look_up(settings, id, check, follow).await
}

async fn look_up(
    settings: &Settings,
    id: &SessionId,
    check: Option<Check>,
    follow: Follow,
) -> Result<Found, StoreError> {
    match look_at(settings, id, check).await? {
        Looked::Session(live) => unless_revoked(settings, live).await,
        // Boxed: few requests come with an old token, and unboxed it would enlarge every handler's future.
        Looked::Tombstone(tombstone) => Box::pin(go_on(settings, id, tombstone, follow)).await,
        Looked::Absent => Ok(Found::Absent),
    }
}

/// The record that is stored under an id, without following tombstones.
enum Looked {
    Session(Live),
    Tombstone(Arc<Record>),
    Absent,
}

async fn look_at(settings: &Settings, id: &SessionId, check: Option<Check>) -> Result<Looked, StoreError> {
    match settings.store.load(id).await.map_err(|error| error.during("load").on(id))? {
        Some(stored) => judge(settings, id, check, stored),
        None => {
            settings.nothing_stored(id).await;
            Ok(Looked::Absent)
        }
    }
}

/// Follows the tombstones from a session's old id to its current id.
///
/// The session must still have the owner that it had at the renewal. Otherwise an attacker who planted a token could
/// follow the session into the victim's login, and a renewal would allow session fixation. If a tombstone leads to a
/// session that is gone, the token counts as superseded, not as unknown, since the session did exist. It counts as linked
/// all the same, so that a second logout with the old token fails no more than one with the new token.
async fn go_on(
    settings: &Settings,
    id: &SessionId,
    mut tombstone: Arc<Record>,
    follow: Follow,
) -> Result<Found, StoreError> {
    let first = Arc::clone(&tombstone);
    let superseded = |is_linked| {
        settings.no_session(NoSessionReason::Superseded, id, Some(&first));
        Ok(Found::Superseded { is_linked })
    };
    let mut owner = None;
    let most = if follow == Follow::Forward { MOST_HOPS } else { MOST_LINKS };
    for _ in 0..most {
        let forward = tombstone
            .forward()
            .map_err(|error| StoreError::new(StoreErrorKind::Corrupt).during("load").on(id).because(error))?;
        let Some(Forward { to, until, owner: held_by }) = forward else { return superseded(false) };
        if follow == Follow::Forward && settings.clock.recent() >= until {
            return superseded(true);
        }
        if *owner.get_or_insert(held_by.clone()) != held_by {
            return superseded(false);
        }
        match look_at(settings, &to, None).await? {
            Looked::Tombstone(grave) if grave.is_grave() => return superseded(true),
            Looked::Tombstone(next) => tombstone = next,
            Looked::Session(live) if live.stored.record.owner().map(Owner::name) == held_by.as_ref() => {
                return match unless_revoked(settings, live).await? {
                    Found::Live(live) => Ok(Found::Live(Live { is_forwarded: true, ..live })),
                    _ => superseded(true),
                };
            }
            Looked::Session(_) => return superseded(false),
            Looked::Absent => return superseded(true),
        }
    }
    superseded(false)
}

async fn unless_revoked(settings: &Settings, live: Live) -> Result<Found, StoreError> {
    let Some(owner) = live.stored.record.owner() else { return Ok(Found::Live(live)) };
    let present = settings.store.owner_epoch(owner.name()).await;
    if present.map_err(|error| error.during("owner_epoch").on(&live.id))? == Some(owner.epoch()) {
        return Ok(Found::Live(live));
    }
    settings.no_session(NoSessionReason::Revoked, &live.id, Some(&live.stored.record));
    Ok(Found::Revoked)
}

/// What a record is by itself, whoever owns it.
fn judge(settings: &Settings, id: &SessionId, check: Option<Check>, stored: Stored) -> Result<Looked, StoreError> {
    let record = &stored.record;
    if check.is_some_and(|check| check != record.check()) {
        settings.no_session(NoSessionReason::Unknown, id, Some(record));
        return Ok(Looked::Absent);
    }
    let now = settings.clock.recent();
    // Don't rely on the store to hide expired records.
    if stored.is_expired(now) || now >= record.absolute_limit() {
        settings.no_session(NoSessionReason::Expired, id, Some(record));
        return Ok(Looked::Absent);
    }
    match record.kind() {
        RecordKind::Session => {
            Ok(Looked::Session(Live { id: *id, stored, is_forwarded: false, loaded: Moment::new(now) }))
        }
        RecordKind::Tombstone => Ok(Looked::Tombstone(stored.record)),
        RecordKind::Epoch => {
            settings.no_session(NoSessionReason::Unknown, id, Some(record));
            Ok(Looked::Absent)
        }
        RecordKind::Sealed => {
            let error = StoreError::new(StoreErrorKind::Corrupt).during("load").on(id);
            Err(error.because("the record is sealed, and the store is not wrapped by the one that opens it"))
        }
    }
}
