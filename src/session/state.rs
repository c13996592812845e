//! The state of one request's session.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use super::{
    changes::{Change, Logged, TokenChange},
    draft::Draft,
    live::{Doomed, EndedBeside, Live, Origin, Unsure},
    policy::ConflictPolicy,
    request_lease::RequestLease,
    seen::Seen,
    settings::Settings,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::{SessionId, SessionToken},
    lifetime::Lifetime,
};

/// A failed commit that was reported to the application.
#[derive(Debug, Clone)]
pub(crate) struct HeldBack {
    pub(crate) error: Error,
    /// The application has changed the session since. These changes may rely on the failed ones, so they are not
    /// written alone.
    pub(crate) written_since: bool,
}

/// The state that a commit began with. Later changes are not in it.
#[derive(Debug, Clone)]
pub(crate) struct CommitStart {
    /// The session's id.
    pub(crate) id: Option<SessionId>,
    /// The session as the application saw it.
    pub(crate) shown: Draft,
    /// The number of the last change in it.
    pub(crate) last: u64,
    /// How often the session had been destroyed.
    pub(crate) ended: u64,
    /// How many entries `ended_beside` had.
    pub(crate) ended_beside: usize,
    /// The new token is left to a later commit.
    pub(crate) defers_renewal: bool,
}

/// What the response must say about the session.
#[derive(Debug, Default)]
pub(crate) struct ResponseNotes {
    /// The token to set, and for how long the browser may keep it (`None`: until the browser is closed).
    pub(crate) cookie: Option<(SessionToken, Option<Duration>)>,
    /// This request destroyed the session that the cookie named.
    pub(crate) destroyed: bool,
    /// The request brought the cookies of two live sessions, and was refused.
    pub(crate) two_sessions: bool,
    /// `Set-Cookie` values that remove other cookies of the same name, if the request brought several.
    pub(crate) removals: Vec<HeaderValue>,
    /// The request seems to have come over plain HTTP, where a browser drops a `Secure` cookie.
    pub(crate) over_http: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    /// Uncommitted changes. A commit works on a copy, so a failed commit has nothing to restore.
    pub(crate) log: Vec<Logged>,
    /// The number of the last change or the last request for a new token.
    pub(crate) last: u64,
    pub(crate) token_change: TokenChange,
    /// The number of the request for a new token.
    pub(crate) token_change_number: u64,
    /// The new token is due to the layer's periodic renewal, not to the handler.
    pub(crate) is_periodic: bool,
    seen: Seen,
    /// The lifetime that this request has set, with the change's number. A later login uses it, even after a `save` in
    /// between.
    chosen_lifetime: Option<(u64, Lifetime)>,
    /// The number of the last change that is stored.
    pub(crate) committed: u64,
    /// The number of the last change that the latest commit was to store.
    pub(crate) planned: u64,
    /// The number of the last change that the handler made before it answered. Later ones are a stream's.
    pub(crate) last_of_handler: u64,
    /// The error of the latest commit that had an unknown outcome and whose closures were withdrawn, and the number of
    /// such commits. The closures may include those of other callers.
    pub(crate) unknown: Option<Error>,
    pub(crate) unknowns: u64,
    /// The latest commit has failed, and this was reported. Nothing is written until the application asks again.
    pub(crate) held_back: Option<HeldBack>,
    /// The stored state, if the latest commit met a conflict that it could not merge.
    pub(crate) newer: Option<Origin>,
    /// A move to a new token that was not answered, and what was committed with it.
    pub(crate) unsure: Option<(Box<Unsure>, CommitStart)>,
    /// The error that replaces the response.
    pub(crate) failure: Option<Error>,
    /// Sessions that this request destroys.
    pub(crate) doomed: Vec<Doomed>,
    pub(crate) ended_beside: Vec<EndedBeside>,
    /// Sessions of the request's tokens that could not be opened, in place of which the visitor started anew.
    pub(crate) unopened: Vec<SessionId>,
    /// Sessions of the request's tokens that are revoked. A fresh session ends them.
    pub(crate) revoked: Vec<SessionId>,
    /// How often this request has destroyed its session. If a commit began before that and stores a session, that
    /// session ends as well.
    pub(crate) ended: u64,
    /// A commit that brings a new token is under way.
    pub(crate) is_changing_token: bool,
    /// The latest commit has found the session revoked.
    pub(crate) is_revoked: bool,
    /// A blocked write was already reported.
    pub(crate) is_blocked: bool,
    /// The handler asked whether the request has a session cookie.
    pub(crate) consulted: bool,
    pub(crate) notes: ResponseNotes,
    /// The handler has answered. No cookie can be set any more, except by the final commit.
    pub(crate) response_started: bool,
    /// The final commit is not over yet.
    pub(crate) is_answering: bool,
    pub(crate) skip_touch: bool,
    /// The application asks for a touch, even if none is due.
    pub(crate) wants_touch: bool,
    /// The lease of the session, where requests run one after another.
    pub(crate) lease: Option<Box<RequestLease>>,
    /// Counts changes, to detect whether a result that was computed with no lock held is still current.
    pub(crate) revision: u64,
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
        for Logged { change, .. } in &mut self.log {
            if let Change::Set(key, _, Some(seen)) | Change::Remove(key, Some(seen)) = change
                && shown.get(key) == now.entries().get(key)
            {
                *seen = Arc::clone(now);
            }
        }
        self.origin = Origin::Live(live);
        self.draft = self.fresh_draft();
        self.newer = None;
        self.unsure = None;
        // A write counts as a use.
        self.wants_touch = false;
        self.revision += 1;
    }

    /// Whether a request that has not loaded its session has done nothing else with it either.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.consulted && self.doomed.is_empty() && !self.notes.destroyed && self.notes.cookie.is_none()
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            Origin::None | Origin::Superseded { .. } => None,
        }
    }

    /// Returns the id of the session that this is about: the one that the request has, or the one that it ends.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.origin.id().or(self.doomed.last().map(|doomed| doomed.id))
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

    /// Fails if the response has begun, so that no cookie can be set.
    pub(crate) fn require_settable_cookie(&self) -> Result<()> {
        if self.response_started { Err(Error::request(ErrorKind::ResponseStarted)) } else { Ok(()) }
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
        if !self.is_answering && (self.changes_token() || (self.live().is_none() && self.draft.is_dirty())) {
            self.require_settable_cookie()
        } else {
            Ok(())
        }
    }

    /// Whether the handler has ended this session by its owner or its id.
    pub(crate) fn is_ended_beside(&self, live: &Live) -> bool {
        self.ended_beside.iter().any(|ended| ended.covers(live))
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
    pub(crate) fn log(&mut self, mut change: Change) -> u64 {
        if let (Change::Set(key, _, baseline), Some(last)) = (&mut change, self.log.last())
            && let Change::Set(before, _, first) = &last.change
            && before == key
            // A stream's change must not replace the handler's, which is in the final commit.
            && last.number > self.last_of_handler
        {
            // Keep the baseline of the first set: what the request had read before it still counts.
            *baseline = first.clone().or_else(|| baseline.take());
            self.log.pop();
        }
        self.note_change();
        self.log.push(Logged { number: self.last, change });
        self.last
    }

    /// Sets the session's lifetime, and the lifetime for a login later in this request.
    pub(crate) fn choose_lifetime(&mut self, lifetime: Lifetime) {
        self.change(Change::Lifetime(lifetime));
        self.chosen_lifetime = Some((self.last, lifetime));
    }

    /// Returns the lifetime of a session that begins in this request.
    pub(crate) fn first_lifetime(&self, settings: &Settings) -> Lifetime {
        self.chosen_lifetime.map_or(settings.lifetime, |(_, lifetime)| lifetime)
    }

    /// Requests a new token at the next commit.
    pub(crate) fn change_token(&mut self, token_change: TokenChange) {
        self.note_change();
        self.token_change = self.token_change.max(token_change);
        self.token_change_number = self.last;
        self.is_periodic = false;
    }

    fn note_change(&mut self) {
        self.last += 1;
        self.revision += 1;
        if let Some(held_back) = &mut self.held_back {
            held_back.written_since = true;
        }
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.log.iter().map(|logged| logged.change.clone()).collect()
    }

    /// Whether the log contains a closure of the application. If it runs again, it may leave other entries than now.
    pub(crate) fn has_run(&self) -> bool {
        self.log.iter().any(|logged| logged.change.is_run())
    }

    /// Whether this entry, if a closure has left it absent, may be set when the closure runs again.
    pub(crate) fn may_come_back(&self, key: &str) -> bool {
        self.draft.is_changed(key) && self.has_run()
    }

    /// Whether dropping this state would lose something that is not stored yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.doomed.is_empty() || self.has_changes()
    }

    /// Like [`is_unsaved`](Self::is_unsaved), but without the sessions to be destroyed.
    pub(crate) fn has_changes(&self) -> bool {
        (self.changes_token() && !self.is_periodic) || self.draft.is_dirty()
    }

    /// Whether the handler has asked for a part of the final commit. What the layer does by itself and what a stream has
    /// written since don't count.
    pub(crate) fn has_work_of_the_handler(&self, settings: &Settings) -> bool {
        !self.doomed.is_empty()
            || self.failure.is_some()
            || (self.changes_token() && !self.is_periodic)
            || self.log.first().is_some_and(|logged| logged.number <= self.last_of_handler)
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
        if self.changes_token() || self.draft.is_dirty() {
            return Vec::new();
        }
        std::mem::take(&mut self.log)
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
        let last_of_handler = self.last_of_handler;
        let later = self.log.iter().position(|logged| logged.number > last_of_handler).unwrap_or(self.log.len());
        let mut later = self.log.split_off(later);
        let (token_change, token_change_number, planned) = (self.token_change, self.token_change_number, self.planned);
        let mut dropped = self.discard();
        if error.kind() == ErrorKind::OutcomeUnknown {
            let before = dropped.len();
            dropped.extend(later.extract_if(.., |logged| logged.change.is_run() && logged.number <= planned));
            self.failure = (dropped.len() > before).then(|| error.clone());
        }
        self.log = later;
        if token_change_number > last_of_handler {
            self.token_change = token_change;
        }
        dropped
    }

    /// Takes back uncommitted changes except `destroy`, and continues from the newest state that is known. Returns the
    /// log, since dropping a closure can run the application's code.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn discard(&mut self) -> Vec<Logged> {
        if let Some(newer) = self.newer.take() {
            self.origin = newer;
        }
        self.seen = Seen::default();
        self.draft = self.fresh_draft();
        self.token_change = TokenChange::Keep;
        self.chosen_lifetime = self.chosen_lifetime.filter(|(number, _)| *number <= self.committed);
        self.held_back = None;
        self.failure = None;
        self.unsure = self.unsure.take().filter(|(unsure, _)| unsure.token_change == TokenChange::Renew);
        self.revision += 1;
        std::mem::take(&mut self.log)
    }

    /// Drops the request's view of its session. Returns closures that must be dropped with no lock held.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn doom(&mut self) -> Vec<Logged> {
        match std::mem::take(&mut self.origin) {
            Origin::None => {}
            Origin::Live(live) => self.doomed.push(Doomed { id: live.id, live: Some(live) }),
            superseded @ Origin::Superseded { id, .. } => {
                self.doomed.push(Doomed { id, live: None });
                // The request stays superseded, even if its login is taken back.
                self.origin = superseded;
            }
        }
        let unopened = self.unopened.drain(..).chain(self.revoked.drain(..));
        self.doomed.extend(unopened.map(|id| Doomed { id, live: None }));
        // An unanswered login or renewal may have moved the session, so end it there as well.
        self.doomed.extend(self.unsure.take().map(|(unsure, _)| Doomed { id: unsure.to, live: None }));
        self.ended += 1;
        self.newer = None;
        self.notes.cookie = None;
        let dropped = self.discard();
        // For a session that begins after the end of this one, nothing was chosen yet, even if this one's lifetime was
        // saved.
        self.chosen_lifetime = None;
        dropped
    }
}
