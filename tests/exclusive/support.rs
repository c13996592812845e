//! A site whose requests take turns, and handlers that keep their turn until the test lets them go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use session_layer::{
    Error, Session, SessionId, SessionStore,
    conformance::Operation,
    store::{Acquire, Holder, Leases, StoreError},
};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    forward::forward,
    site::{Jar, Reply, Site},
};

pub(crate) const WAIT: Duration = Duration::from_secs(10);
pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) fn site() -> Site {
    Site::with(|builder| builder.exclusive(WAIT))
}

/// A store that does no more than the contract asks: its `released` returns at once, and its `acquire` answers no record.
#[derive(Clone)]
pub(crate) struct Eager<S>(pub(crate) S);

impl<S: SessionStore> SessionStore for Eager<S> {
    forward!(0: load, create, update, touch, remove);

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl<S: SessionStore> Leases for Eager<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        Ok(match self.0.leases().expect("it has leases").acquire(id, holder, time).await? {
            Acquire::Acquired { until, .. } => Acquire::acquired(until),
            other => other,
        })
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        self.0.leases().expect("it has leases").release(id, holder).await
    }

    async fn released(&self, _: &SessionId, _: Duration) {}
}

/// The same over a store whose leases carry no record, so that each request loads it again.
pub(crate) fn site_that_loads_again() -> Site {
    let base = Site::new();
    Site::over(Eager(base.store.clone()), base.store, base.clock, |builder| builder.exclusive(WAIT))
}

/// A barrier in a handler: signals that it has arrived, and waits.
#[derive(Clone)]
pub(crate) struct Hold {
    inside: Arc<AtomicUsize>,
    go_on: Arc<Semaphore>,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self { inside: Arc::default(), go_on: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) async fn here(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.go_on.acquire().await.unwrap().forget();
    }

    /// Waits until `times` requests have arrived here, in all.
    pub(crate) async fn reached(&self, times: usize) {
        while self.inside.load(Ordering::SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn release(&self) {
        self.go_on.add_permits(1);
    }
}

/// Sets `n` to `n` + 1 with plain `get` and `insert`.
pub(crate) async fn increment(session: Session, hold: Hold) -> Result<(), Error> {
    let n: u64 = session.get("n")?.unwrap_or_default();
    hold.here().await;
    session.insert("n", n + 1)
}

/// Starts a request that has its turn and stays in its handler.
pub(crate) async fn holding(site: &Site, jar: &Jar) -> (JoinHandle<Reply>, Hold) {
    let hold = Hold::new();
    let held = hold.clone();
    let request = tokio::spawn(site.send(jar, async move |session: Session| increment(session, held).await));
    hold.reached(1).await;
    (request, hold)
}

/// A request that reads and writes without waiting in between.
pub(crate) async fn quick(session: Session) -> Result<(), Error> {
    let n: u64 = session.get("n")?.unwrap_or_default();
    session.insert("n", n + 1)
}

/// Waits until the store was asked for a lease `times` times, in all.
pub(crate) async fn asked(site: &Site, times: usize) {
    while site.store.calls(Operation::Acquire) < times {
        tokio::task::yield_now().await;
    }
}

/// Whether nobody has leased the session.
pub(crate) async fn free(site: &Site, jar: &Jar) -> bool {
    let lease = site.layer.sessions().lease(&jar.id(), LEASE).await.unwrap();
    match lease {
        Some(lease) => lease.release().await.unwrap(),
        None => false,
    }
}
