//! Stores that track changes: a remembered record or epoch may be out of date, since reports of changes can be late.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use session_layer::{
    MemoryStore, Session, SessionId, SessionStore,
    conformance::fault::FaultStore,
    record::Epoch,
    store::{OwnerEpoch, Refresh, StoreError, Stored, Tracked, Usage},
};

use crate::{forward::forward, support::*};

/// A store that remembers an owner's epoch, and reads a new one only after a `refresh`.
#[derive(Clone)]
struct Remembers {
    inner: FaultStore<MemoryStore>,
    epoch: Arc<Mutex<Option<Epoch>>>,
    /// A record that has changed since.
    record: Arc<Mutex<Option<(SessionId, Stored)>>>,
}

impl SessionStore for Remembers {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let remembered = self.record.lock().unwrap().clone().filter(|(of, _)| of == id);
        let stored = match remembered {
            Some((_, stored)) => Some(stored),
            None => self.inner.load(id).await?,
        };
        let stored = stored.map(|stored| stored.with_owner_epoch(OwnerEpoch::NotAsked));
        Ok(stored.map(|stored| stored.with_tracked(Tracked::new(|| true))))
    }

    forward!(inner: create, update, touch, remove);

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        *self.epoch.lock().unwrap() = None;
        self.inner.refresh(id, held).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        if let Some(known) = *self.epoch.lock().unwrap() {
            return Ok(Some(known));
        }
        let epoch = self.inner.owner_epoch(owner).await?;
        *self.epoch.lock().unwrap() = epoch;
        Ok(epoch)
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.inner.ensure_epoch(owner, usage).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        self.inner.renew_epoch(owner, usage).await
    }
}

fn site() -> (Site, Remembers) {
    let below = Site::new();
    let store = Remembers { inner: below.store.clone(), epoch: Arc::default(), record: Arc::default() };
    (Site::over(store.clone(), below.store.clone(), below.clock.clone(), |builder| builder), store)
}

/// After a revocation, the owner logs in on another server. This server reads the new session, but still has the old
/// epoch.
#[tokio::test]
async fn a_session_that_is_newer_than_the_remembered_epoch_lives() {
    let (site, store) = site();
    let old = site.member("ada").await;
    assert!(is_live(&site, &old).await);
    store.renew_epoch("ada", Usage::keep_for(site.clock.now(), std::time::Duration::from_secs(9_000))).await.unwrap();
    let mut jar = site.member("ada").await;
    let stale = *store.epoch.lock().unwrap();
    assert!(stale.is_some(), "the epoch before the revocation");
    let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 7)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"), "it was taken for revoked, and ended");
}

/// A session that is revoked according to the store is refused.
#[tokio::test]
async fn a_revoked_session_is_refused_once_the_store_is_asked() {
    let (site, store) = site();
    let jar = site.member("ada").await;
    assert!(is_live(&site, &jar).await);
    store.renew_epoch("ada", Usage::keep_for(site.clock.now(), std::time::Duration::from_secs(9_000))).await.unwrap();
    *store.epoch.lock().unwrap() = store.inner.owner_epoch("ada").await.unwrap();
    assert!(!is_live(&site, &jar).await);
}

/// Elsewhere, the other sessions were revoked, which carried this one into a new epoch, and then it was renewed.
#[tokio::test]
async fn a_remembered_record_of_a_session_that_was_renewed_since_leads_to_the_new_one() {
    let (site, store) = site();
    let mut jar = site.member("ada").await;
    let old = jar.clone();
    let before = site.store.load(&old.id()).await.unwrap().unwrap();
    assert!(site.layer.sessions().revoke_others("ada", &old.id()).await.unwrap());
    site.visit(&mut jar, async |session: Session| {
        session.insert("n", 7)?;
        session.renew()
    })
    .await;
    assert_ne!(jar.id(), old.id());
    *store.record.lock().unwrap() = Some((old.id(), before));
    *store.epoch.lock().unwrap() = None;
    let look = async |session: Session| format!("{:?}", session.get::<u8>("n").unwrap());
    assert_eq!(site.send(&old, look).await.body, "Some(7)", "as with the record that is stored");
}

#[tokio::test]
async fn a_remembered_record_of_a_session_that_has_ended_since_is_absent() {
    let (site, store) = site();
    let jar = site.member("ada").await;
    let before = site.store.load(&jar.id()).await.unwrap().unwrap();
    let usage = Usage::keep_for(site.clock.now(), std::time::Duration::from_secs(9_000));
    store.renew_epoch("ada", usage).await.unwrap();
    site.store.remove(&jar.id()).await.unwrap();
    *store.record.lock().unwrap() = Some((jar.id(), before));
    *store.epoch.lock().unwrap() = None;
    assert!(!is_live(&site, &jar).await);
}

/// The remembered record is from before the session was moved to a new epoch.
#[tokio::test]
async fn a_remembered_record_that_is_older_than_the_epoch_is_looked_up_again() {
    let (site, store) = site();
    let jar = site.member("ada").await;
    let stored = site.store.load(&jar.id()).await.unwrap().unwrap();
    let sessions = site.layer.sessions();
    assert!(sessions.revoke_others("ada", &jar.id()).await.unwrap());
    let now = site.store.load(&jar.id()).await.unwrap().unwrap();
    assert_ne!(stored.version, now.version);
    *store.record.lock().unwrap() = Some((jar.id(), stored));
    *store.epoch.lock().unwrap() = None;
    assert!(is_live(&site, &jar).await);
}
