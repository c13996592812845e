//! Finds the session that the request's tokens name.

use std::time::Duration;

use super::{
    context::Context,
    find::{Answer, Follow, Found},
    live::{Live, Origin},
    policy::DamagedPolicy,
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind},
    events::{EventKind, span},
    id::{SessionId, TokenCheck},
    store::{StoreError, StoreErrorKind},
};

/// Why the request's session could not be loaded.
#[derive(Debug, Clone)]
pub(crate) enum LoadFailure {
    /// The store could not answer, or has no leases although requests must run one after another.
    Store(StoreError),
    /// The record is damaged, or no key opens it.
    Damaged(StoreError),
    /// Two cookies name two live sessions.
    TwoSessions,
    /// Other requests have the session. Either this one's time to wait is over, or too many are waiting already.
    Locked { retry_after: Duration },
}

/// The error is marked as reported, since the load has emitted an event.
impl From<LoadFailure> for Error {
    fn from(failure: LoadFailure) -> Self {
        match failure {
            LoadFailure::Store(error) => {
                // Requests must run one after another, and the store has no leases.
                let is_unsupported = error.kind() == StoreErrorKind::Unsupported;
                let kind = if is_unsupported { ErrorKind::Unsupported } else { ErrorKind::Unavailable };
                Self::request(kind).because(error)
            }
            LoadFailure::Damaged(error) => Self::request(ErrorKind::Damaged).because(error),
            LoadFailure::TwoSessions => Self::request(ErrorKind::TwoSessions),
            LoadFailure::Locked { retry_after } => Self::request(ErrorKind::Locked).retry_in(retry_after),
        }
        .reported()
    }
}

/// The result of looking up the request's tokens.
pub(crate) struct Loaded {
    pub(crate) origin: Origin,
    /// Sessions that could not be opened. They are left alone unless the request destroys its session.
    pub(crate) unopened: Vec<SessionId>,
    /// Sessions that are revoked. They end when the request destroys its session or begins a fresh one.
    ///
    /// A session may be revoked for a moment only: `revoke_others` also revokes the session that it keeps, and then
    /// carries it over. If a logout at that moment left the session alone, it would answer "logged out", and the
    /// session would live on. If a login left it alone, it would live on under a token that the browser has dropped.
    pub(crate) revoked: Vec<SessionId>,
    /// Another session that a forward leads to. Both give way to a session that a later token names directly.
    rival: Option<SessionId>,
}

/// The outcome of [`load_at_once`].
pub(crate) enum LoadedAtOnce {
    /// The token's session, which is the request's.
    Live(Live),
    /// There is no token.
    NoToken,
    /// [`load_tokens`] goes on, with this if the store was asked.
    Left(Option<Asked>),
}

/// A token's id and check, and what the store has answered if it did so at once.
pub(crate) struct Asked {
    id: SessionId,
    check: TokenCheck,
    answer: Box<Option<Answer>>,
}

/// Looks up a single token without a future, over a store that answers at once.
pub(crate) fn load_at_once(context: &Context, tokens: &Tokens) -> LoadedAtOnce {
    if tokens.are_several() || span::are_wanted() {
        return LoadedAtOnce::Left(None);
    }
    let Some(token) = tokens.iter().next() else { return LoadedAtOnce::NoToken };
    let (id, check) = context.identify(token);
    match context.find_at_once(&id, check) {
        Ok(live) => {
            context.emit(EventKind::Loaded { id: live.id, record: &live.stored.record });
            LoadedAtOnce::Live(live)
        }
        Err(answer) => LoadedAtOnce::Left(Some(Asked { id, check, answer })),
    }
}

/// Looks up what the tokens name. If one session is live, it is the request's. Two are refused, since one of them was
/// planted. `asked` is what [`load_at_once`] has left.
pub(crate) async fn load_tokens(
    context: &Context,
    tokens: &Tokens,
    asked: Option<Asked>,
) -> Result<Loaded, LoadFailure> {
    if tokens.are_several() {
        // Boxed: hardly any request has several tokens, and unboxed, this would enlarge every handler's future.
        return Box::pin(load_several(context, tokens)).await;
    }
    let Some(token) = tokens.iter().next() else { return Ok(Loaded::NOTHING) };
    let is_traced = asked.is_none() && span::are_wanted();
    let (id, check, answer) = match asked {
        Some(Asked { id, check, answer }) => (id, check, *answer),
        None => {
            let (id, check) = context.identify(token);
            (id, check, None)
        }
    };
    // The same as `find`, but without the space that it would take in every handler's future.
    let found = if is_traced {
        Box::pin(context.find(&id, Some(check), Follow::Forward)).await
    } else {
        context.find_untraced(&id, Some(check), Follow::Forward, answer).await
    };
    let mut loaded = Loaded::NOTHING;
    loaded.take(context, id, found)?;
    Ok(loaded)
}

async fn load_several(context: &Context, tokens: &Tokens) -> Result<Loaded, LoadFailure> {
    let mut loaded = Loaded::NOTHING;
    for token in tokens.iter() {
        let (id, check) = context.identify(token);
        let found = context.find(&id, Some(check), Follow::Forward).await;
        loaded.take(context, id, found)?;
    }
    loaded.refuse_rival(context)?;
    Ok(loaded)
}

impl Loaded {
    const NOTHING: Self = Self { origin: Origin::None, unopened: Vec::new(), revoked: Vec::new(), rival: None };

    /// Adds the result of looking up the next token.
    fn take(&mut self, context: &Context, id: SessionId, found: Result<Found, StoreError>) -> Result<(), LoadFailure> {
        match found {
            Ok(Found::Live(live)) => match &self.origin {
                // The request has the old and the new token of one session.
                Origin::Live(first) if first.id == live.id => {
                    let is_forwarded = first.is_forwarded && live.is_forwarded;
                    self.origin = Origin::Live(Live { is_forwarded, ..live });
                }
                // A token that leads there only by a forward gives way to one that names a live session.
                Origin::Live(_) if live.is_forwarded => self.rival = Some(live.id),
                Origin::Live(first) if first.is_forwarded => self.choose(context, live),
                Origin::Live(first) => return Err(two_sessions(context, first.id, live.id)),
                Origin::None | Origin::Superseded { .. } => self.choose(context, live),
            },
            Ok(Found::Superseded { is_linked }) => {
                if let Origin::None = self.origin {
                    self.origin = Origin::Superseded { id, is_linked };
                }
            }
            Ok(Found::Absent) => {}
            Ok(Found::Revoked) => self.revoked.push(id),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                context.emit(EventKind::Damaged { id, error: &error });
                if context.settings.damaged == DamagedPolicy::Fail {
                    return Err(LoadFailure::Damaged(error));
                }
                self.unopened.push(id);
            }
            Err(error) => {
                context.emit(EventKind::LoadFailed { id, error: &error });
                return Err(LoadFailure::Store(error));
            }
        }
        Ok(())
    }

    /// Refuses two sessions if only forwards lead to them.
    fn refuse_rival(&self, context: &Context) -> Result<(), LoadFailure> {
        match (&self.origin, self.rival) {
            (Origin::Live(live), Some(rival)) if live.is_forwarded && live.id != rival => {
                Err(two_sessions(context, live.id, rival))
            }
            _ => Ok(()),
        }
    }

    fn choose(&mut self, context: &Context, live: Live) {
        context.emit(EventKind::Loaded { id: live.id, record: &live.stored.record });
        self.origin = Origin::Live(live);
    }
}

fn two_sessions(context: &Context, first: SessionId, second: SessionId) -> LoadFailure {
    context.emit(EventKind::TwoLiveCookies { first, second });
    LoadFailure::TwoSessions
}
