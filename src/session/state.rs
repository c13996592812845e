//! The state of one request's session.

use std::sync::Arc;

use super::{
    changes::{Change, Logged, TokenChange},
    draft::Draft,
    ending::Ending,
    failures::Failures,
    live::{Doomed, Live, Origin},
    log::Log,
    policy::ConflictPolicy,
    request_lease::RequestLease,
    response_notes::ResponseNotes,
    seen::Seen,
    settings::Settings,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::SessionId,
    lifetime::Lifetime,
};

/// How far the request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// The handler has not answered yet.
    #[default]
    Handling,
    /// The handler has answered, and the final commit is not over yet. Only that commit can still set a cookie.
    Answering,
    /// No cookie can be set any more.
    Answered,
}

/// The state of one request's session.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// What the request's cookie led to, as of the last load or commit.
    pub(crate) origin: Origin,
    /// The session as the handler sees it: with all changes of the log.
    pub(crate) draft: Draft,
    pub(crate) log: Log,
    /// The entries that the request has read.
    seen: Seen,
    pub(crate) token_change: TokenChange,
    /// The number of the request for a new token.
    pub(crate) token_change_number: u64,
    /// The new token is due to the layer's periodic renewal, not to the handler.
    pub(crate) is_periodic: bool,
    /// A commit that brings a new token is under way.
    pub(crate) is_changing_token: bool,
    /// The lifetime that this request has set, with the change's number. A later login uses it, even after a `save` in
    /// between.
    chosen_lifetime: Option<(u64, Lifetime)>,
    pub(crate) skip_touch: bool,
    /// The application asks for a touch, even if none is due.
    pub(crate) wants_touch: bool,
    pub(crate) failures: Failures,
    pub(crate) ending: Ending,
    /// The latest commit has found the session revoked.
    pub(crate) is_revoked: bool,
    /// A blocked write was already reported.
    pub(crate) is_blocked: bool,
    /// The handler asked whether the request has a session cookie.
    pub(crate) consulted: bool,
    pub(crate) notes: ResponseNotes,
    /// The lease of the session, where requests run one after another.
    pub(crate) lease: Option<Box<RequestLease>>,
}

impl State {
    pub(crate) fn new(origin: Origin) -> Self {
        let mut state = Self::default();
        state.begin(origin);
        state
    }

    /// Starts from what the request's cookie led to, before any change.
    pub(crate) fn begin(&mut self, origin: Origin) {
        self.origin = origin;
        self.draft = self.fresh_draft();
    }

    fn fresh_draft(&self) -> Draft {
        Draft::new(self.live().map(|live| Arc::clone(&live.stored.record)))
    }

    /// Continues from the state that a commit has stored. `shown` is the session as it was when the commit began.
    pub(crate) fn adopt(&mut self, live: Live, shown: &Draft) {
        let now = &live.stored.record;
        self.seen.carry_over(shown, now);
        // A change made during the commit is no conflict if it was computed from the value that is stored now.
        for Logged { change, .. } in &mut self.log.changes {
            if let Change::Set(key, _, Some(seen)) | Change::Remove(key, Some(seen)) = change
                && shown.get(key) == now.entries().get(key)
            {
                *seen = Arc::clone(now);
            }
        }
        self.origin = Origin::Live(live);
        self.draft = self.fresh_draft();
        self.failures.newer = None;
        self.failures.unsure = None;
        // A write counts as a use.
        self.wants_touch = false;
        self.log.revision += 1;
    }

    /// Whether a request that has not loaded its session has done nothing else with it either.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.consulted && self.ending.doomed.is_empty() && !self.notes.destroyed && self.notes.cookie.is_none()
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            Origin::None | Origin::Superseded { .. } => None,
        }
    }

    /// Returns the id of the session that this is about: the one that the request has, or the one that it ends.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.origin.id().or(self.ending.doomed.last().map(|doomed| doomed.id))
    }

    /// Fails if the session was superseded, unless the request logs in.
    pub(crate) fn require_current(&self) -> Result<()> {
        match &self.origin {
            Origin::Superseded { id, .. } if self.token_change < TokenChange::Login => {
                Err(Error::session(ErrorKind::Superseded, *id))
            }
            _ => Ok(()),
        }
    }

    /// Whether the response has begun, so that only the final commit can still set a cookie.
    pub(crate) fn response_started(&self) -> bool {
        self.phase != Phase::Handling
    }

    /// Notes that the response begins.
    pub(crate) fn begin_response(&mut self) {
        // A final commit may be under way: it is dropped with its request.
        if self.phase == Phase::Handling {
            self.phase = Phase::Answered;
        }
    }

    /// Fails if the response has begun, so that no cookie can be set.
    pub(crate) fn require_settable_cookie(&self) -> Result<()> {
        if self.response_started() { Err(Error::request(ErrorKind::ResponseStarted)) } else { Ok(()) }
    }

    /// Fails if the session was superseded, or if a new session would need a cookie after the response has begun.
    pub(crate) fn require_writable(&self) -> Result<()> {
        self.require_current()?;
        match &self.origin {
            Origin::None => self.require_settable_cookie(),
            _ => Ok(()),
        }
    }

    /// Fails if the commit would need a cookie after the response has begun.
    pub(crate) fn require_savable(&self) -> Result<()> {
        if self.phase != Phase::Answering && (self.changes_token() || (self.live().is_none() && self.draft.is_dirty()))
        {
            self.require_settable_cookie()
        } else {
            Ok(())
        }
    }

    /// Whether the handler has ended this session by its owner or its id.
    pub(crate) fn is_ended_beside(&self, live: &Live) -> bool {
        self.ending.has_ended_beside(live)
    }

    /// Notes that the request reads an entry. Only [`ConflictPolicy::Merge`] needs it.
    pub(crate) fn see(&mut self, key: &str, settings: &Settings) {
        if settings.conflicts == ConflictPolicy::Merge {
            self.seen.note(&self.draft, key);
        }
    }

    /// Applies and logs a change that runs no closure. If it sets or removes an entry, it gets the record in which the
    /// request has read that entry.
    pub(crate) fn change(&mut self, mut change: Change) {
        if let Change::Set(key, _, baseline) | Change::Remove(key, baseline) = &mut change {
            *baseline = self.seen.baseline(&self.draft, key);
        }
        // Only closures can fail, and they are not applied here.
        let _ = change.apply(&mut self.draft);
        self.log(change);
    }

    /// Logs a change that the draft already contains, and returns its number.
    pub(crate) fn log(&mut self, change: Change) -> u64 {
        self.failures.note_change();
        self.log.push(change)
    }

    /// Sets the session's lifetime, and the lifetime for a login later in this request.
    pub(crate) fn choose_lifetime(&mut self, lifetime: Lifetime) {
        self.change(Change::Lifetime(lifetime));
        self.chosen_lifetime = Some((self.log.last, lifetime));
    }

    /// Returns the lifetime of a session that begins in this request.
    pub(crate) fn first_lifetime(&self, settings: &Settings) -> Lifetime {
        self.chosen_lifetime.map_or(settings.lifetime, |(_, lifetime)| lifetime)
    }

    /// Requests a new token at the next commit.
    pub(crate) fn change_token(&mut self, token_change: TokenChange) {
        self.failures.note_change();
        self.log.advance();
        self.token_change = self.token_change.max(token_change);
        self.token_change_number = self.log.last;
        self.is_periodic = false;
    }

    /// Whether this entry, if a closure has left it absent, may be set when the closure runs again.
    pub(crate) fn may_come_back(&self, key: &str) -> bool {
        self.draft.is_changed(key) && self.log.has_run()
    }

    /// Whether dropping this state would lose something that is not stored yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.ending.doomed.is_empty() || self.has_changes()
    }

    /// Like [`is_unsaved`](Self::is_unsaved), but without the sessions to be destroyed.
    pub(crate) fn has_changes(&self) -> bool {
        (self.changes_token() && !self.is_periodic) || self.draft.is_dirty()
    }

    /// Whether the handler has asked for a part of the final commit. What the layer does by itself and what a stream has
    /// written since don't count.
    pub(crate) fn has_work_of_the_handler(&self, settings: &Settings) -> bool {
        !self.ending.doomed.is_empty()
            || self.failures.for_response.is_some()
            || (self.changes_token() && !self.is_periodic)
            || self.log.changes.first().is_some_and(|logged| logged.number <= self.log.last_of_handler)
            || self.is_always_saved(settings)
    }

    /// Whether the commit gives the session a new token: there is a session to move to one, or a login that makes one.
    pub(crate) fn changes_token(&self) -> bool {
        self.token_change == TokenChange::Login || (self.token_change > TokenChange::Keep && self.live().is_some())
    }

    /// Takes the log if it changes nothing. If it were kept, it would be replayed over what others write, and would
    /// keep alive what its closures hold.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn take_idle_log(&mut self) -> Vec<Logged> {
        if self.log.changes.is_empty() || self.changes_token() || self.draft.is_dirty() {
            return Vec::new();
        }
        std::mem::take(&mut self.log.changes)
    }

    /// Takes back the handler's changes after the final commit of its request has failed. Returns the dropped changes.
    ///
    /// A stream's changes stay, whether or not the commit has tried them, so that the stream can save them on top of
    /// the newest state that is known. The caller must rebuild the draft for them.
    ///
    /// After an unknown outcome, closures that the commit has tried can't stay, since they could run on their own
    /// result. The next `save` reports that.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn give_up(&mut self, error: &Error) -> Vec<Logged> {
        let last_of_handler = self.log.last_of_handler;
        let mut later = self.log.split_after(last_of_handler);
        let (token_change, token_change_number, planned) =
            (self.token_change, self.token_change_number, self.log.planned);
        let mut dropped = self.discard();
        if error.kind() == ErrorKind::OutcomeUnknown {
            let before = dropped.len();
            dropped.extend(later.extract_if(.., |logged| logged.change.is_run() && logged.number <= planned));
            self.failures.for_response = (dropped.len() > before).then(|| error.clone());
        }
        self.log.changes = later;
        if token_change_number > last_of_handler {
            self.token_change = token_change;
        }
        dropped
    }

    /// Takes back uncommitted changes except `destroy`, and continues from the newest state that is known. Returns the
    /// log, since dropping a closure can run the application's code.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn discard(&mut self) -> Vec<Logged> {
        if let Some(newer) = self.failures.newer.take() {
            self.origin = *newer;
        }
        self.seen = Seen::default();
        self.draft = self.fresh_draft();
        self.token_change = TokenChange::Keep;
        self.chosen_lifetime = self.chosen_lifetime.filter(|(number, _)| *number <= self.log.committed);
        self.failures.held_back = None;
        self.failures.for_response = None;
        self.failures.unsure = self.failures.unsure.take().filter(|unsure| unsure.0.token_change == TokenChange::Renew);
        self.log.revision += 1;
        std::mem::take(&mut self.log.changes)
    }

    /// Drops the request's view of its session. Returns closures that must be dropped with no lock held.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn doom(&mut self) -> Vec<Logged> {
        match std::mem::take(&mut self.origin) {
            Origin::None => {}
            Origin::Live(live) => self.ending.doomed.push(Doomed { id: live.id, live: Some(live) }),
            superseded @ Origin::Superseded { id, .. } => {
                self.ending.doomed.push(Doomed { id, live: None });
                // The request stays superseded, even if its login is taken back.
                self.origin = superseded;
            }
        }
        let unopened = self.ending.unopened.drain(..).chain(self.ending.revoked.drain(..));
        self.ending.doomed.extend(unopened.map(|id| Doomed { id, live: None }));
        // An unanswered login or renewal may have moved the session, so end it there as well.
        self.ending.doomed.extend(self.failures.unsure.take().map(|unsure| Doomed { id: unsure.0.to, live: None }));
        self.ending.destroys += 1;
        self.failures.newer = None;
        self.notes.cookie = None;
        let dropped = self.discard();
        // For a session that begins after the end of this one, nothing was chosen yet, even if this one's lifetime was
        // saved.
        self.chosen_lifetime = None;
        dropped
    }
}
