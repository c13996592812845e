//! Finds a session in the store, by its id or where a renewal has moved it.

use std::sync::Arc;

use tracing::Instrument;

use super::{
    context::Context,
    live::{Live, Moment},
};
use crate::{
    events::{NoSessionReason, span},
    id::{SessionId, TokenCheck},
    record::{Forward, Record, RecordKind},
    store::{OwnerEpoch, Refresh, SessionStatus, SessionStore, StoreError, StoreErrorKind, Stored},
};

/// The result of a look-up.
pub(crate) enum Found {
    Live(Live),
    /// A newer token has replaced this one, and this request may not follow the tombstone to the session.
    Superseded {
        is_linked: bool,
    },
    /// Not stored, or not for this token. The reason is emitted as an event.
    Absent,
    /// Stored, but its owner's sessions were revoked after its login.
    Revoked,
}

/// How far a tombstone is followed to the renewed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Until the forward's `until`. For a request that came with the old token.
    Forward,
    /// As long as the tombstone lives. For a caller that ends the session or knows its old id.
    Link,
}

/// The maximum number of tombstones followed for a request. A session that is renewed every few minutes has one or two
/// with a valid forward.
pub(crate) const MOST_HOPS: usize = 8;

/// The maximum number of tombstones followed for a caller that ends the session or knows its old id. A tombstone lives
/// for an hour and the grace, and the layer renews at most once a minute. The application may renew more often.
pub(crate) const MOST_LINKS: usize = 64;

/// A store's answer to a load.
pub(super) type Answer = Result<Option<Stored>, StoreError>;

/// What is stored under an id, before tombstones are followed and the owner's epoch is compared.
enum Classified {
    Session(Live),
    Tombstone(Arc<Record>),
    Absent,
}

impl Context {
    /// Finds the session with this id. `check` is `None` for a job that knows the id but not the token; then any check
    /// is accepted.
    pub(crate) async fn find(
        &self,
        id: &SessionId,
        check: Option<TokenCheck>,
        follow: Follow,
    ) -> Result<Found, StoreError> {
        if span::are_wanted() {
            return Box::pin(self.find_untraced(id, check, follow, None).instrument(span::load(id))).await;
        }
        self.find_untraced(id, check, follow, None).await
    }

    /// Finds the session of a token without a future, if the store answers at once and the answer is all that is needed.
    /// Otherwise returns the answer, for [`find_untraced`](Self::find_untraced).
    pub(super) fn find_at_once(&self, id: &SessionId, check: TokenCheck) -> Result<Live, Box<Option<Answer>>> {
        let now = self.clock.recent();
        let is_live = |stored: &Stored| {
            let record = &stored.record;
            let is_owners = match record.owner() {
                Some(owner) => stored.owner_epoch == OwnerEpoch::Present(owner.epoch()),
                None => true,
            };
            record.kind() == RecordKind::Session && record.check() == check && stored.is_live(now) && is_owners
        };
        match self.store.try_load(id) {
            Some(Ok(Some(stored))) if is_live(&stored) => {
                Ok(Live { id: *id, stored, is_forwarded: false, loaded: Moment::new(now) })
            }
            // Boxed, since it is rare and would be moved with each session.
            answer => Err(Box::new(answer)),
        }
    }

    /// Finds a session again, where it is now. A request that came with an old token still counts as forwarded.
    ///
    /// `newer` is the record that is stored in its place, if the store has just returned it. That saves a load.
    pub(crate) async fn find_again(
        &self,
        live: &Live,
        follow: Follow,
        newer: Option<Stored>,
    ) -> Result<Found, StoreError> {
        let check = Some(live.stored.record.check());
        let found = match newer {
            Some(stored) => {
                let classified = self.classify(&live.id, check, stored)?;
                self.resolve(&live.id, classified, follow).await?
            }
            None => self.find(&live.id, check, follow).await?,
        };
        Ok(match found {
            Found::Live(now) => {
                let is_forwarded = live.is_forwarded || now.is_forwarded;
                Found::Live(Live { is_forwarded, ..now })
            }
            found => found,
        })
    }

    /// Like [`find`](Self::find), but without a span, and with what the store has already answered.
    pub(super) async fn find_untraced(
        &self,
        id: &SessionId,
        check: Option<TokenCheck>,
        follow: Follow,
        answer: Option<Answer>,
    ) -> Result<Found, StoreError> {
        let classified = self.load_one(id, check, answer).await?;
        self.resolve(id, classified, follow).await
    }

    /// Turns what is stored under an id into a session: follows tombstones and compares the owner's epoch.
    async fn resolve(&self, id: &SessionId, classified: Classified, follow: Follow) -> Result<Found, StoreError> {
        match classified {
            Classified::Session(live) => self.check_epoch(live, follow).await,
            // Boxed: few requests come with an old token, and unboxed, this would enlarge every handler's future.
            Classified::Tombstone(tombstone) => Box::pin(self.follow_tombstones(id, tombstone, follow)).await,
            Classified::Absent => Ok(Found::Absent),
        }
    }

    /// Loads and classifies what is stored under this id, without following tombstones. `answer` is what the store has
    /// already answered.
    async fn load_one(
        &self,
        id: &SessionId,
        check: Option<TokenCheck>,
        answer: Option<Answer>,
    ) -> Result<Classified, StoreError> {
        let answer = match answer.or_else(|| self.store.try_load(id)) {
            Some(answer) => answer,
            None => self.store.load(id).await,
        };
        match answer.map_err(|error| error.during("load").on(id))? {
            Some(stored) => self.classify(id, check, stored),
            None => {
                self.report_absent(id).await;
                Ok(Classified::Absent)
            }
        }
    }

    /// Reports that the store has returned nothing for an id.
    ///
    /// If anybody observes the reason, also checks whether a store in this process's memory still has the expired
    /// session. With any other store, that would be a second round trip for each token that a client makes up.
    async fn report_absent(&self, id: &SessionId) {
        let mut reason = NoSessionReason::Unknown;
        if self.observers.hear_reasons()
            && self.store.in_memory()
            && let Ok(Some(metadata)) = self.store.metadata(id).await
            && metadata.status == SessionStatus::Expired
        {
            reason = NoSessionReason::Expired;
        }
        self.no_session(reason, id, None);
    }

    /// Classifies a record on its own, without comparing its owner's epoch.
    fn classify(&self, id: &SessionId, check: Option<TokenCheck>, stored: Stored) -> Result<Classified, StoreError> {
        let record = &stored.record;
        if check.is_some_and(|check| check != record.check()) {
            self.no_session(NoSessionReason::Unknown, id, Some(record));
            return Ok(Classified::Absent);
        }
        let now = self.clock.recent();
        // Don't rely on the store to hide expired records.
        if !stored.is_live(now) {
            self.no_session(NoSessionReason::Expired, id, Some(record));
            return Ok(Classified::Absent);
        }
        match record.kind() {
            RecordKind::Session => {
                Ok(Classified::Session(Live { id: *id, stored, is_forwarded: false, loaded: Moment::new(now) }))
            }
            RecordKind::Tombstone => Ok(Classified::Tombstone(stored.record)),
            RecordKind::Epoch => {
                self.no_session(NoSessionReason::Unknown, id, Some(record));
                Ok(Classified::Absent)
            }
            RecordKind::Sealed => {
                let error = StoreError::new(StoreErrorKind::Corrupt).during("load").on(id);
                Err(error.because("the record is sealed: wrap the store in `EncryptedStore` to open it"))
            }
        }
    }

    /// Returns the session unless its owner's epoch has changed since its login, that is, unless it is revoked.
    async fn check_epoch(&self, live: Live, follow: Follow) -> Result<Found, StoreError> {
        let Some(owner) = live.stored.record.owner() else { return Ok(Found::Live(live)) };
        let present = match live.stored.owner_epoch {
            OwnerEpoch::Present(epoch) => Some(epoch),
            OwnerEpoch::Absent => None,
            OwnerEpoch::NotAsked => {
                let present = self.store.owner_epoch(owner.name()).await;
                present.map_err(|error| error.during("owner_epoch").on(&live.id))?
            }
        };
        if present == Some(owner.epoch()) {
            return Ok(Found::Live(live));
        }
        // A store that tracks changes may have returned a remembered record or epoch, and one of them may be older than
        // the other. That is good enough to serve a session, but not to end it.
        if live.stored.tracked.is_some() {
            return Box::pin(self.resolve_anew(live, follow)).await;
        }
        self.no_session(NoSessionReason::Revoked, &live.id, Some(&live.stored.record));
        Ok(Found::Revoked)
    }

    /// Resolves what the store has now, which is not remembered, in place of this session.
    async fn resolve_anew(&self, live: Live, follow: Follow) -> Result<Found, StoreError> {
        let id = &live.id;
        let classified = match self.store.refresh(id, &live.stored).await.map_err(|e| e.during("refresh").on(id))? {
            Refresh::Same { usage, owner_epoch, .. } => {
                let stored = Stored::new(Arc::clone(&live.stored.record), live.stored.version, usage);
                self.classify(id, None, stored.with_owner_epoch(owner_epoch))?
            }
            Refresh::Changed(stored) => self.classify(id, None, stored.with_tracked(None))?,
            Refresh::Gone => {
                self.report_absent(id).await;
                Classified::Absent
            }
        };
        self.resolve(id, classified, follow).await
    }

    /// Follows the tombstones from a session's old id to its current id.
    ///
    /// The session must still have the owner that it had at the renewal. Otherwise an attacker who planted a token
    /// could follow the session into the victim's login, and a renewal would allow session fixation.
    ///
    /// If a tombstone leads to a session that is gone, the token counts as superseded, not as unknown, since the
    /// session did exist. It still counts as linked, so that a second logout with the old token fails no more than one
    /// with the new token.
    async fn follow_tombstones(
        &self,
        id: &SessionId,
        mut tombstone: Arc<Record>,
        follow: Follow,
    ) -> Result<Found, StoreError> {
        let first = Arc::clone(&tombstone);
        let superseded = |is_linked| {
            self.no_session(NoSessionReason::Superseded, id, Some(&first));
            Ok(Found::Superseded { is_linked })
        };
        let mut owner = None;
        let most = if follow == Follow::Forward { MOST_HOPS } else { MOST_LINKS };
        for _ in 0..most {
            let forward = tombstone
                .forward()
                .map_err(|error| StoreError::new(StoreErrorKind::Corrupt).during("load").on(id).because(error))?;
            let Some(Forward { to, until, owner: owned_by }) = forward else { return superseded(false) };
            if follow == Follow::Forward && self.clock.recent() >= until {
                return superseded(true);
            }
            if *owner.get_or_insert(owned_by.clone()) != owned_by {
                return superseded(false);
            }
            match self.load_one(&to, None, None).await? {
                Classified::Tombstone(grave) if grave.is_grave() => return superseded(true),
                Classified::Tombstone(next) => tombstone = next,
                Classified::Session(live) if live.is_owned_by(owned_by.as_ref()) => {
                    return match self.check_epoch(live, follow).await? {
                        Found::Live(live) if live.is_owned_by(owned_by.as_ref()) => {
                            Ok(Found::Live(Live { is_forwarded: true, ..live }))
                        }
                        _ => superseded(true),
                    };
                }
                Classified::Session(_) => return superseded(false),
                Classified::Absent => return superseded(true),
            }
        }
        superseded(false)
    }
}
