//! Where one request's session stands.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;

use super::{
    changes::{Change, Draft},
    settings::{SavePolicy, Settings},
    turn::Turn,
};
use crate::{
    clock::to_millis as millis,
    error::{Error, ErrorKind, Result},
    id::{SessionId, SessionToken},
    store::Stored,
};

/// What the request's cookie led to, as of the last load or commit.
#[derive(Debug, Clone, Default)]
pub(crate) enum Origin {
    /// No session: none was there, it is not live, or this request destroyed it.
    #[default]
    None,
    Live(Live),
    /// The token was replaced by a newer one.
    Superseded(SessionId),
}

#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) stored: Stored,
}

/// Whether the commit gives the session a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Renewal {
    #[default]
    Keep,
    Renew,
    Login,
}

/// What the response says of the session.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The token to set, and for how long the browser may keep it (`None`: until its window is closed).
    pub(crate) cookie: Option<(SessionToken, Option<Duration>)>,
    /// This request destroyed the session that the cookie named.
    pub(crate) destroyed: bool,
    /// The request has the cookies of two live sessions, and was refused.
    pub(crate) two_sessions: bool,
    /// Lines that remove other cookies of the same name, if the request brought several.
    pub(crate) removals: Vec<HeaderValue>,
    /// The request came over plain HTTP, as it seems, where a `Secure` cookie does not come back.
    pub(crate) over_http: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    pub(crate) log: Vec<Change>,
    pub(crate) renewal: Renewal,
    /// Sessions that this request destroys.
    pub(crate) doomed: Vec<SessionId>,
    /// Sessions of the request's tokens that could not be opened, and over which the visitor started anew.
    pub(crate) damaged: Vec<SessionId>,
    /// How often this request has destroyed its session: what a commit brings that began before is not kept.
    pub(crate) ended: u64,
    /// How often changes were taken back: what a failed commit that began before gives back is not kept.
    pub(crate) discarded: u64,
    /// A commit is under way that brings a new token.
    pub(crate) is_renewing: bool,
    /// It was told that a write was blocked: the end of the request tries it once more.
    pub(crate) is_blocked: bool,
    /// The handler asked whether the request has a session cookie.
    pub(crate) consulted: bool,
    pub(crate) answer: Answer,
    /// The headers are on their way: no cookie can be set any more.
    pub(crate) response_started: bool,
    pub(crate) skip_touch: bool,
    /// The lease of the session, where requests run one after another.
    pub(crate) turn: Option<Box<Turn>>,
    /// Counts changes, so that what was computed with no lock held is known to be still true.
    pub(crate) revision: u64,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

impl Origin {
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::None => None,
            Self::Live(live) => Some(live.id),
            Self::Superseded(id) => Some(*id),
        }
    }
}

impl State {
    pub(crate) fn new(origin: Origin) -> Self {
        let mut state = Self::default();
        state.begin(origin);
        state
    }

    /// What the request's cookie led to. Nothing has changed it yet.
    pub(crate) fn begin(&mut self, origin: Origin) {
        self.origin = origin;
        let base = self.live().map(|live| Arc::clone(&live.stored.record));
        self.draft = Draft::new(base);
    }

    /// Whether nothing was done by a request that has not loaded its session.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.consulted && self.doomed.is_empty() && !self.answer.destroyed && self.answer.cookie.is_none()
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            Origin::None | Origin::Superseded(_) => None,
        }
    }

    /// Which session this is about: the one that it has, or the one that it ends.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.origin.id().or(self.doomed.last().copied())
    }

    /// Refuses what a superseded request changes, unless it logs in.
    pub(crate) fn not_superseded(&self) -> Result<()> {
        match &self.origin {
            Origin::Superseded(id) if self.renewal < Renewal::Login => Err(Error::session(ErrorKind::Superseded, *id)),
            _ => Ok(()),
        }
    }

    /// Refuses as well what would need a cookie after the response has begun.
    pub(crate) fn writable(&self) -> Result<()> {
        self.not_superseded()?;
        match &self.origin {
            Origin::None if self.response_started => Err(Error::request(ErrorKind::ResponseStarted)),
            _ => Ok(()),
        }
    }

    /// Applies a change in which no code of the application runs, and logs it.
    pub(crate) fn change(&mut self, change: Change) {
        // Nothing but a `Run` can fail, and that is not applied here.
        let _ = self.draft.apply(&change);
        self.record(change);
    }

    /// Logs a change that the draft already has.
    pub(crate) fn record(&mut self, change: Change) {
        if let (Change::Set(key, _), Some(Change::Set(last, _))) = (&change, self.log.last())
            && key == last
        {
            self.log.pop();
        }
        self.log.push(change);
        self.revision += 1;
    }

    /// Whether a closure of the application is in the log: run again, it may leave other entries than now.
    pub(crate) fn has_run(&self) -> bool {
        self.log.iter().any(|change| matches!(change, Change::Run(_)))
    }

    /// Whether a closure that has left no such entry may leave one when it runs again.
    pub(crate) fn may_come_back(&self, key: &str) -> bool {
        self.draft.is_changed(key) && self.has_run()
    }

    /// Whether something that no store has yet would be lost if this were dropped.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.doomed.is_empty() || self.renews() || self.draft.is_dirty()
    }

    /// Whether there is a session to renew, or a login that makes one.
    pub(crate) fn renews(&self) -> bool {
        self.renewal == Renewal::Login || (self.renewal == Renewal::Renew && self.live().is_some())
    }

    /// Whether a session that was only read is due for a touch.
    pub(crate) fn is_touch_due(&self, settings: &Settings, now: SystemTime) -> bool {
        let Some(Live { stored, .. }) = self.live() else { return false };
        let (now, used_at, expires_at) = (millis(now), millis(stored.used_at), millis(stored.expires_at));
        let part = stored.record.lifetime().idle_part(settings.touch_after);
        let next = stored.record.expiry_millis(now);
        // Where the lifetime was made longer, a touch that came late by the old one has left an expiry that is too early.
        let is_due = now >= used_at.saturating_add(part) || next >= expires_at.saturating_add(part);
        !self.skip_touch && is_due && next > expires_at
    }

    /// Whether the policy saves a session in which nothing has changed.
    pub(crate) fn is_always_saved(&self, settings: &Settings) -> bool {
        settings.save == SavePolicy::Always && self.live().is_some()
    }

    /// Hands out a log that came to nothing. Kept, it would be replayed over what others write, and keep alive what its
    /// closures hold.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn take_idle_log(&mut self) -> Vec<Change> {
        if self.renews() || self.draft.is_dirty() {
            return Vec::new();
        }
        std::mem::take(&mut self.log)
    }

    /// Takes back what is not committed, `destroy` excepted. The log is handed out, since dropping a closure can run
    /// code of the application.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn discard(&mut self) -> Vec<Change> {
        let base = self.live().map(|live| Arc::clone(&live.stored.record));
        self.draft = Draft::new(base);
        self.renewal = Renewal::Keep;
        self.discarded += 1;
        self.revision += 1;
        std::mem::take(&mut self.log)
    }
}
