//! The final commit of a request, if the store answers at once: a new session, or changed entries of a session that
//! keeps its token.
//!
//! These are most of the commits over a store in this process's memory. They need no future, no copy of the log and no
//! second attempt. Whatever else a commit may have to do is left to the ordinary one (`commit`), before anything was
//! changed. Where both do the same, they do it by the same functions.

use std::{sync::Arc, time::SystemTime};

use super::{
    attempt::{draw, written},
    changes::{TokenChange, conflict},
    commit_start::{Begun, CommitStart},
    context::failed,
    live::{Live, Origin, Refused},
    request_session::RequestSession,
    state::State,
};
use crate::{
    error::{Error, Result},
    events::EventKind,
    id::{SessionId, SessionToken},
    record::Record,
    store::{Create, SessionStore, Update, Usage, Version},
};

/// The outcome of [`commit_at_once`](RequestSession::commit_at_once).
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// The final commit is over. An error replaces the handler's response.
    Over(Result<()>),
    /// It is left to [`final_commit`](RequestSession::final_commit).
    Left(Begun),
}

/// The one call that the commit makes.
struct Write {
    id: SessionId,
    record: Arc<Record>,
    usage: Usage,
    now: SystemTime,
    of: Of,
}

/// The session that is written.
enum Of {
    /// A new one, under this token.
    New(SessionToken),
    /// The one that was loaded in this version.
    Stored { expected: Version, is_forwarded: bool },
}

/// The outcome of the call that a commit makes.
enum Made {
    Written,
    Failed(Error),
    /// The ordinary commit has to go on, with this answer if it was a refusal.
    Left(Option<Refused>),
}

impl RequestSession {
    /// Makes the final commit without waiting, if the store can and there is nothing unusual about it.
    ///
    /// The request may be dropped before or after, but not meanwhile: unlike the ordinary commit, this one is never
    /// interrupted.
    pub(crate) fn commit_at_once(&self) -> AtOnce {
        if !self.context.store.answers_at_once() || self.is_exclusive {
            return AtOnce::Left(Begun::default());
        }
        let Ok(one) = self.committing.try_lock() else { return AtOnce::Left(Begun::default()) };
        let Some((write, start, is_handlers)) = self.plan_at_once() else { return AtOnce::Left(Begun::default()) };
        let span = self.commit_span();
        let outcome = match span.in_scope(|| self.make(write, start)) {
            Made::Written => Ok(()),
            Made::Failed(error) => Err(error),
            Made::Left(refused) => {
                return AtOnce::Left(Begun { span: Some(span), refused, is_handlers: Some(is_handlers) });
            }
        };
        drop(span);
        self.give_up_failed(&outcome);
        drop(one);
        AtOnce::Over(self.report_final(outcome, is_handlers))
    }

    /// Makes the call and continues from what it has stored. No lock is held meanwhile, since the store's observers may
    /// use the session.
    fn make(&self, Write { id, record, usage, now, of }: Write, start: CommitStart) -> Made {
        let (context, store) = (&self.context, &self.context.store);
        let written = match of {
            Of::New(token) => match store.try_create(&id, &record, usage) {
                Some(Ok(Create::Created(version))) => {
                    context.emit(EventKind::Created { id, record: &record, login: false });
                    written(id, record, version, usage, now, Some(token))
                }
                // The ordinary commit draws another token.
                Some(Ok(Create::Exists)) | None => return Made::Left(None),
                Some(Err(error)) => return self.failed_at_once(failed("create", &id)(error)),
            },
            Of::Stored { expected, is_forwarded } => match store.try_update(&id, &record, &expected, usage) {
                Some(Ok(Update::Updated(version))) => {
                    context.emit(EventKind::Saved { id, record: &record });
                    let mut written = written(id, record, version, usage, now, None);
                    written.live.is_forwarded = is_forwarded;
                    written
                }
                // The ordinary commit merges, finds out where the session is now, or fails.
                Some(answer) => return Made::Left(Some(Refused { id, expected, answer })),
                None => return Made::Left(None),
            },
        };
        self.adopt_written(Some(written), start);
        // Another handle may have destroyed the session during the call. Then what was written must end as well, which
        // the ordinary commit does.
        if self.has_doomed() { Made::Left(None) } else { Made::Written }
    }

    /// Notes that the write has found out nothing about the session.
    fn failed_at_once(&self, error: Error) -> Made {
        self.state().is_revoked = false;
        Made::Failed(error)
    }

    /// Returns the call that the commit makes, the state that it begins with, and whether the handler has asked for any
    /// part of it. Returns `None`, with nothing changed, if the commit is not as simple as that.
    fn plan_at_once(&self) -> Option<(Write, CommitStart, bool)> {
        let mut state = self.state();
        if !state.is_plain() {
            return None;
        }
        let write = match &state.origin {
            Origin::None => self.creation(&state)?,
            Origin::Live(live) => self.replacement(&state, live)?,
            Origin::Superseded { .. } => return None,
        };
        state.is_changing_token = matches!(write.of, Of::New(_));
        state.log.planned = state.log.last;
        let start = CommitStart {
            id: state.origin.id(),
            shown: state.draft.clone(),
            last: state.log.last,
            destroys: state.ending.destroys,
            ended_beside: 0,
            defers_renewal: false,
        };
        Some((write, start, state.has_work_of_the_handler(self.settings())))
    }

    /// Returns the call that stores a new session. A failure is left to the ordinary commit.
    fn creation(&self, state: &State) -> Option<Write> {
        if !state.draft.is_dirty() {
            return None;
        }
        let now = self.context.clock.now();
        let (token, id, check) = draw(&self.context).ok()?;
        let record = state.draft.record(self.settings(), check, now, None).ok()?;
        state.draft.check_growth(self.settings(), None).ok()?;
        let usage = Usage::at(&record, now);
        Some(Write { id, record: Arc::new(record), usage, now, of: Of::New(token) })
    }

    /// Returns the call that replaces a session's record. A failure is left to the ordinary commit.
    fn replacement(&self, state: &State, live: &Live) -> Option<Write> {
        let is_due = state.draft.is_dirty()
            || state.is_always_saved(self.settings())
            || state.is_first_use_unrecorded(&self.context, self.context.clock.recent());
        let base = &live.stored.record;
        if !is_due || conflict(Some(base), state.log.changes.iter().map(|logged| &logged.change)).is_some() {
            return None;
        }
        let now = self.context.clock.now();
        let renewed = base.renewed_millis().map(u64::to_le_bytes);
        let record = state.draft.record(self.settings(), base.check(), base.created_at(), renewed).ok()?;
        state.draft.check_growth(self.settings(), Some(base)).ok()?;
        if base.owner().is_some() && record.absolute_limit() > base.absolute_limit() {
            // The owner's epoch must be kept for longer.
            return None;
        }
        let record = record.with_owner(base.owner().cloned());
        let usage = live.usage(&record, now);
        let of = Of::Stored { expected: live.stored.version, is_forwarded: live.is_forwarded };
        Some(Write { id: live.id, record: Arc::new(record), usage, now, of })
    }
}

impl State {
    /// Whether a commit has nothing to do except to write entries and the lifetime, under the token that the session has
    /// or, if it is new, under its first.
    fn is_plain(&self) -> bool {
        let Self { failures, ending, .. } = self;
        self.token_change == TokenChange::Keep
            && !self.is_changing_token
            && self.lease.is_none()
            && !self.draft.sets_owner()
            && failures.held_back.is_none()
            && failures.for_response.is_none()
            && failures.unsure.is_none()
            && failures.newer.is_none()
            && ending.doomed.is_empty()
            && ending.beside.is_empty()
            && ending.revoked.is_empty()
    }
}
