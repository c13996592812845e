//! Where one request's session stands.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use tokio::time::Instant;

use super::{
    changes::{Change, Draft},
    seen::Seen,
    settings::{ConflictPolicy, SavePolicy, Settings},
    turn::Turn,
};
use crate::{
    clock::to_millis as millis,
    error::{Error, ErrorKind, Result},
    id::{SessionId, SessionToken},
    lifetime::Lifetime,
    record::Owner,
    store::Stored,
};

/// A forwarded request renews a session only if its last renewal is at least this old: before, the cookie with the new
/// token may still be on its way.
const RESCUE_AFTER: u64 = 5_000;

/// What the request's cookie led to, as of the last load or commit.
#[derive(Debug, Clone, Default)]
pub(crate) enum Origin {
    /// No session: none was there, it is not live, or this request destroyed it.
    #[default]
    None,
    Live(Live),
    /// The token was replaced by a newer one.
    Superseded {
        id: SessionId,
        /// Its tombstone says where the session went: whoever ends it is led there.
        is_linked: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) stored: Stored,
    /// The request came with the token from before a renewal.
    pub(crate) is_forwarded: bool,
    pub(crate) loaded: Moment,
}

/// An instant by two clocks: the monotonic one, and the layer's, which can be stepped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    instant: Instant,
    time: SystemTime,
}

/// Whether the commit gives the session a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Renewal {
    #[default]
    Keep,
    /// The same session under a new token.
    Renew,
    /// The session is taken from its owner: what goes on is a new, empty one.
    Leave,
    Login,
}

/// A session that the request ends.
#[derive(Debug, Clone)]
pub(crate) struct Doomed {
    pub(crate) id: SessionId,
    /// The session as the request has seen it, if it has opened it.
    pub(crate) live: Option<Live>,
}

/// What the handler has ended in another way than through its session: by its owner, or by its id.
#[derive(Debug, Clone)]
pub(crate) enum EndedBeside {
    Session(SessionId),
    Owner { name: Arc<str>, kept: Option<SessionId> },
    All,
}

/// A commit that the application was told has failed.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) error: Error,
    /// The application has changed the session since. It can't have meant that to come without what has failed.
    pub(crate) written_since: bool,
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

/// A change, and its place among all of this request.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) number: u64,
    pub(crate) change: Change,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    /// What is not committed. A commit works on a copy, so nothing has to be given back when it fails.
    pub(crate) log: Vec<Logged>,
    /// The number of the last change, or decision to renew.
    pub(crate) last: u64,
    pub(crate) renewal: Renewal,
    /// The number of the decision to renew.
    pub(crate) renewal_number: u64,
    /// The layer renews, not the handler.
    pub(crate) is_periodic: bool,
    seen: Seen,
    /// What this request has set, if it has: a login takes it over, also after a save in between.
    chosen_lifetime: Option<(u64, Lifetime)>,
    /// The number of the last change that is stored.
    pub(crate) committed: u64,
    /// The last commit has failed, and the application was told: nothing is written until it asks again.
    pub(crate) held: Option<Held>,
    /// What was stored when the last commit met a conflict that it could not merge.
    pub(crate) newer: Option<Origin>,
    /// Why the response is replaced.
    pub(crate) failure: Option<Error>,
    /// Sessions that this request destroys.
    pub(crate) doomed: Vec<Doomed>,
    pub(crate) ended_beside: Vec<EndedBeside>,
    /// Sessions of the request's tokens that could not be opened or are revoked, and over which the visitor started anew.
    pub(crate) unopened: Vec<SessionId>,
    /// How often this request has destroyed its session: what a commit brings that began before is not kept.
    pub(crate) ended: u64,
    /// A commit is under way that brings a new token.
    pub(crate) is_renewing: bool,
    /// The last commit has found the session revoked.
    pub(crate) is_revoked: bool,
    /// It was told that a write was blocked.
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

impl Moment {
    pub(crate) fn new(time: SystemTime) -> Self {
        Self { instant: Instant::now(), time }
    }

    /// Whether less than this has passed since, by both clocks.
    pub(crate) fn is_within(&self, time: Duration, now: SystemTime) -> bool {
        self.instant.elapsed() < time && now.duration_since(self.time).is_ok_and(|passed| passed < time)
    }
}

impl Live {
    /// Whether nobody has come with the token of the session's last renewal: no use is recorded since. Requests with the
    /// old token record none.
    fn is_unpresented(&self) -> bool {
        self.stored.record.renewed_millis().is_some_and(|renewed| millis(self.stored.used_at) <= renewed)
    }
}

impl Origin {
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::None => None,
            Self::Live(live) => Some(live.id),
            Self::Superseded { id, .. } => Some(*id),
        }
    }
}

impl EndedBeside {
    /// Whether this session was meant.
    pub(crate) fn covers(&self, live: &Live) -> bool {
        match self {
            Self::Session(id) => *id == live.id,
            Self::Owner { name, kept } => {
                let owner = live.stored.record.owner().map(Owner::name);
                owner == Some(name) && *kept != Some(live.id)
            }
            Self::All => true,
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
        self.draft = self.fresh_draft();
    }

    fn fresh_draft(&self) -> Draft {
        Draft::new(self.live().map(|live| Arc::clone(&live.stored.record)))
    }

    /// Goes on from what is stored now.
    pub(crate) fn go_on_from(&mut self, live: Live) {
        let shown = std::mem::take(&mut self.draft);
        self.seen.carry_over(&shown, &live.stored.record);
        self.origin = Origin::Live(live);
        self.draft = self.fresh_draft();
        self.newer = None;
        self.revision += 1;
    }

    /// Whether nothing was done by a request that has not loaded its session.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.consulted && self.doomed.is_empty() && !self.answer.destroyed && self.answer.cookie.is_none()
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            Origin::None | Origin::Superseded { .. } => None,
        }
    }

    /// Which session this is about: the one that it has, or the one that it ends.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.origin.id().or(self.doomed.last().map(|doomed| doomed.id))
    }

    /// Refuses what a superseded request changes, unless it logs in.
    pub(crate) fn not_superseded(&self) -> Result<()> {
        match &self.origin {
            Origin::Superseded { id, .. } if self.renewal < Renewal::Login => {
                Err(Error::session(ErrorKind::Superseded, *id))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what needs a cookie after the response has begun.
    pub(crate) fn can_set_cookie(&self) -> Result<()> {
        if self.response_started { Err(Error::request(ErrorKind::ResponseStarted)) } else { Ok(()) }
    }

    /// Refuses what a superseded request changes, and what would need a cookie after the response has begun.
    pub(crate) fn writable(&self) -> Result<()> {
        self.not_superseded()?;
        match &self.origin {
            Origin::None => self.can_set_cookie(),
            _ => Ok(()),
        }
    }

    /// Refuses a commit that would need a cookie after the response has begun.
    pub(crate) fn can_save(&self) -> Result<()> {
        if self.renews() || (self.live().is_none() && self.draft.is_dirty()) { self.can_set_cookie() } else { Ok(()) }
    }

    /// Whether the handler has ended this session beside it: by its owner, or by its id.
    pub(crate) fn is_ended_beside(&self, live: &Live) -> bool {
        self.ended_beside.iter().any(|ended| ended.covers(live))
    }

    /// Notes that the request is shown an entry.
    pub(crate) fn see(&mut self, key: &str, settings: &Settings) {
        if settings.conflicts == ConflictPolicy::Merge {
            self.seen.note(&self.draft, key);
        }
    }

    /// Applies a change in which no code of the application runs, and logs it. One that sets or removes an entry names the
    /// record in which the request has seen it.
    pub(crate) fn change(&mut self, mut change: Change) {
        if let Change::Set(key, _, baseline) | Change::Remove(key, baseline) = &mut change {
            *baseline = self.seen.baseline(&self.draft, key);
        }
        // Nothing but a `Run` can fail, and that is not applied here.
        let _ = self.draft.apply(&change);
        self.record(change);
    }

    /// Logs a change that the draft already has, and returns its number.
    pub(crate) fn record(&mut self, mut change: Change) -> u64 {
        if let (Change::Set(key, _, baseline), Some(last)) = (&mut change, self.log.last())
            && let Change::Set(before, _, first) = &last.change
            && before == key
        {
            // What the request had read before it set the entry first still counts.
            *baseline = first.clone().or_else(|| baseline.take());
            self.log.pop();
        }
        self.note_change();
        self.log.push(Logged { number: self.last, change });
        self.last
    }

    /// Sets how long the session lives, also after a login in this request.
    pub(crate) fn choose_lifetime(&mut self, lifetime: Lifetime) {
        self.change(Change::Lifetime(lifetime));
        self.chosen_lifetime = Some((self.last, lifetime));
    }

    /// How long a session lives that begins in this request.
    pub(crate) fn first_lifetime(&self, settings: &Settings) -> Lifetime {
        self.chosen_lifetime.map_or(settings.lifetime, |(_, lifetime)| lifetime)
    }

    /// Asks for a new token at the next commit.
    pub(crate) fn renew(&mut self, renewal: Renewal) {
        self.note_change();
        self.renewal = self.renewal.max(renewal);
        self.renewal_number = self.last;
        self.is_periodic = false;
    }

    fn note_change(&mut self) {
        self.last += 1;
        self.revision += 1;
        if let Some(held) = &mut self.held {
            held.written_since = true;
        }
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.log.iter().map(|logged| logged.change.clone()).collect()
    }

    /// Whether a closure of the application is in the log: run again, it may leave other entries than now.
    pub(crate) fn has_run(&self) -> bool {
        self.log.iter().any(|logged| logged.change.is_run())
    }

    /// Whether a closure that has left no such entry may leave one when it runs again.
    pub(crate) fn may_come_back(&self, key: &str) -> bool {
        self.draft.is_changed(key) && self.has_run()
    }

    /// Whether something that no store has yet would be lost if this were dropped.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.doomed.is_empty() || self.has_changes()
    }

    /// The same, but for sessions to be ended.
    pub(crate) fn has_changes(&self) -> bool {
        (self.renews() && !self.is_periodic) || self.draft.is_dirty()
    }

    /// Whether there is a session to renew, or a login that makes one.
    pub(crate) fn renews(&self) -> bool {
        self.renewal == Renewal::Login || (self.renewal > Renewal::Keep && self.live().is_some())
    }

    /// Whether a session that was only read is due for a touch.
    pub(crate) fn is_touch_due(&self, settings: &Settings, now: SystemTime) -> bool {
        let Some(live) = self.live() else { return false };
        // A request with an old token must not seem to have brought the new one.
        if self.skip_touch || live.is_forwarded {
            return false;
        }
        if live.is_unpresented() {
            return true;
        }
        let stored = &live.stored;
        let (now, used_at, expires_at) = (millis(now), millis(stored.used_at), millis(stored.expires_at));
        let part = stored.record.lifetime().idle_part(settings.touch_after);
        let next = stored.record.expiry_millis(now);
        // Where the lifetime was made longer, a touch that came late by the old one has left an expiry that is too early.
        let is_due = now >= used_at.saturating_add(part) || next >= expires_at.saturating_add(part);
        is_due && next > expires_at
    }

    /// Whether the layer's periodic renewal is due.
    ///
    /// The answer that brings a new token can be lost, and the browser goes on with the old one. So a forwarded request
    /// renews again, but only while nobody has come with the newest token and its answer must have arrived by now: if
    /// every forwarded request renewed, late answers would overwrite each other's cookies.
    pub(crate) fn is_renewal_due(&self, settings: &Settings, now: SystemTime) -> bool {
        let (Some(every), Some(live)) = (settings.renew_every, self.live()) else { return false };
        if self.skip_touch || self.renewal != Renewal::Keep || self.is_ended_beside(live) {
            return false;
        }
        let record = &live.stored.record;
        let since = record.renewed_millis().unwrap_or_else(|| millis(record.created_at()));
        let age = millis(now).saturating_sub(since);
        if live.is_forwarded {
            live.is_unpresented() && age >= RESCUE_AFTER
        } else {
            age >= crate::clock::duration_millis(every)
        }
    }

    /// Whether the policy saves a session in which nothing has changed.
    pub(crate) fn is_always_saved(&self, settings: &Settings) -> bool {
        settings.save == SavePolicy::Always && self.live().is_some()
    }

    /// Hands out a log that came to nothing. Kept, it would be replayed over what others write, and keep alive what its
    /// closures hold.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn take_idle_log(&mut self) -> Vec<Logged> {
        if self.renews() || self.draft.is_dirty() {
            return Vec::new();
        }
        std::mem::take(&mut self.log)
    }

    /// Takes back what is not committed, `destroy` excepted, and goes on from the newest state that is known. The log is
    /// handed out, since dropping a closure can run code of the application.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn discard(&mut self) -> Vec<Logged> {
        if let Some(newer) = self.newer.take() {
            self.origin = newer;
        }
        self.seen = Seen::default();
        self.draft = self.fresh_draft();
        self.renewal = Renewal::Keep;
        self.chosen_lifetime = self.chosen_lifetime.filter(|(number, _)| *number <= self.committed);
        self.held = None;
        self.revision += 1;
        std::mem::take(&mut self.log)
    }

    /// Ends what this request has of its session. Returns what must be dropped with no lock held.
    #[must_use = "closures must be dropped with no lock held"]
    pub(crate) fn doom(&mut self) -> Vec<Logged> {
        match std::mem::take(&mut self.origin) {
            Origin::None => {}
            Origin::Live(live) => self.doomed.push(Doomed { id: live.id, live: Some(live) }),
            superseded @ Origin::Superseded { id, .. } => {
                self.doomed.push(Doomed { id, live: None });
                // It stays one, also where a login is taken back.
                self.origin = superseded;
            }
        }
        self.doomed.extend(self.unopened.drain(..).map(|id| Doomed { id, live: None }));
        self.ended += 1;
        self.newer = None;
        self.answer.cookie = None;
        self.discard()
    }
}
