//! Keys change during requests: no session is lost, no request fails, and nothing remains under the old key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use session_layer::{
    Clock, EncryptedStore, KeyRing, MemoryStore, SessionId, SessionStore,
    record::{Entries, Owner, Record},
    store::{Update, Usage},
};
use tokio::sync::RwLock;

use crate::{
    kit::secret,
    sealed::{create, id, record, start, text},
};

type Server = RwLock<EncryptedStore<MemoryStore>>;

const WORKERS: usize = 6;
const SESSIONS: usize = 20;

/// The stages of the table in the key ring's documentation.
fn stage(number: usize) -> KeyRing {
    let (old, new) = (secret(1), secret(2));
    match number {
        0 => KeyRing::new(old),
        1 => KeyRing::new(old).opening(new).unwrap(),
        2 => KeyRing::new(new).opening(old).unwrap(),
        _ => KeyRing::new(new),
    }
}

/// One session that is written again and again, by alternating servers.
struct Visitor {
    id: SessionId,
    count: usize,
}

impl Visitor {
    async fn sign_in(server: &Server, id: SessionId, owner: Option<String>) -> Self {
        let store = server.read().await;
        let mut session = record("0");
        if let Some(owner) = owner {
            let usage = Usage { used_at: start(), expires_at: session.absolute_limit() };
            let epoch = store.ensure_epoch(&owner, usage).await.unwrap();
            session = session.with_owner(Some(Owner::new(owner, epoch).unwrap()));
        }
        create(&*store, &id, session).await;
        Self { id, count: 0 }
    }

    /// Reads, checks and writes like a request; retries if resealing came between.
    async fn visit(&mut self, server: &Server) {
        let store = server.read().await;
        loop {
            let stored = store.load(&self.id).await.unwrap().expect("the session is lost");
            assert_eq!(text(&stored), self.count.to_string());
            if let Some(owner) = stored.record.owner() {
                let present = store.owner_epoch(owner.name()).await.unwrap();
                assert_eq!(present, Some(owner.epoch()), "{} is logged out", self.id);
            }
            let next = (self.count + 1).to_string();
            let entries = Entries::from_sorted([("text", next.as_bytes())].into_iter()).unwrap();
            let record = Arc::new(Record::clone(&stored.record).with_entries(entries));
            match store.update(&self.id, &record, &stored.version, stored.usage()).await.unwrap() {
                Update::Updated(_) => break,
                Update::Conflict(_) => {}
                Update::Gone => panic!("the session is lost"),
            }
        }
        self.count += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_loses_nothing() {
    let inner = MemoryStore::with_clock(Clock::manual(start()));
    let servers: Arc<[Server]> = (0..4).map(|_| RwLock::new(EncryptedStore::new(inner.clone(), stage(0)))).collect();
    let (stop, visits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (servers, stop, visits) = (Arc::clone(&servers), Arc::clone(&stop), Arc::clone(&visits));
            tokio::spawn(async move {
                let mut visitors = Vec::new();
                let mut turn = worker;
                while !stop.load(Ordering::SeqCst) {
                    turn += 1;
                    let server = &servers[turn % servers.len()];
                    if visitors.len() < SESSIONS || turn % 50 == 0 {
                        // Two in three have an owner. Workers share owners, so servers race for epochs.
                        let owner = (turn % 3 > 0).then(|| format!("owner {}", turn % 7));
                        visitors.push(Visitor::sign_in(server, id(&format!("{worker} {turn}")), owner).await);
                    }
                    let at = turn % visitors.len();
                    visitors[at].visit(server).await;
                    visits.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
                visitors
            })
        })
        .collect();
    let some_visits = async || {
        let until = visits.load(Ordering::SeqCst) + 300;
        while visits.load(Ordering::SeqCst) < until {
            assert!(!workers.iter().any(tokio::task::JoinHandle::is_finished), "a worker failed");
            tokio::task::yield_now().await;
        }
    };
    some_visits().await;
    for number in 1..=3 {
        if number == 3 {
            let resealed = servers[0].read().await.reseal_all().await.unwrap();
            assert_eq!(resealed.refused, 0);
        }
        for server in &*servers {
            let mut server = server.write().await;
            *server = EncryptedStore::new(inner.clone(), stage(number));
            drop(server);
            some_visits().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut visitors = Vec::new();
    for worker in workers {
        visitors.extend(worker.await.unwrap());
    }
    // Nothing is sealed with the old key: a server with only the new key opens everything, and everybody is still
    // logged in.
    assert!(visitors.len() >= WORKERS * SESSIONS);
    for visitor in &mut visitors {
        visitor.visit(&servers[3]).await;
    }
    let again = servers[3].read().await.reseal_all().await.unwrap();
    assert_eq!((again.sealed, again.refused), (0, 0));
    assert_eq!(usize::try_from(again.current).unwrap(), visitors.len());
}

/// `seal_existing`: a store that was in use before it was wrapped.
#[tokio::test]
async fn a_plain_store_is_sealed_with_its_owners_logged_in() {
    let clock = Clock::manual(start());
    let inner = MemoryStore::with_clock(clock.clone());
    let usage = Usage { used_at: start(), expires_at: record("").absolute_limit() };
    let epoch = inner.ensure_epoch("bob", usage).await.unwrap();
    let owned = record("1").with_owner(Some(Owner::new("bob", epoch).unwrap()));
    create(&inner, &id("a"), owned.clone()).await;
    create(&inner, &id("b"), record("2")).await;
    let revoked = inner.ensure_epoch("eve", usage).await.unwrap();
    create(&inner, &id("c"), record("3").with_owner(Some(Owner::new("eve", revoked).unwrap()))).await;
    inner.renew_epoch("eve", usage).await.unwrap();

    let store = EncryptedStore::new(inner.clone(), stage(0));
    clock.advance(Duration::from_secs(60));
    assert!(store.load(&id("a")).await.is_err(), "it is not read as it is");
    let expiry = inner.load(&id("b")).await.unwrap().unwrap().usage();
    let sealed = store.seal_existing().await.unwrap();
    assert_eq!((sealed.sealed, sealed.current, sealed.refused), (3, 0, 0));
    let bob = store.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(bob.record.entries(), owned.entries());
    assert_eq!(store.owner_epoch("bob").await.unwrap(), bob.record.owner().map(Owner::epoch));
    let eve = store.load(&id("c")).await.unwrap().unwrap();
    assert_ne!(store.owner_epoch("eve").await.unwrap(), eve.record.owner().map(Owner::epoch));
    let b = store.load(&id("b")).await.unwrap().unwrap();
    assert_eq!((text(&b), b.usage()), ("2", expiry), "sealing is no use");
    let again = store.seal_existing().await.unwrap();
    assert_eq!((again.sealed, again.current), (0, 3));
}

/// The record is counted, reported and left as it is.
#[tokio::test]
async fn resealing_leaves_records_that_it_can_not_open() {
    let inner = MemoryStore::with_clock(Clock::manual(start()));
    let foreign = EncryptedStore::new(inner.clone(), KeyRing::new(secret(9)));
    create(&foreign, &id("a"), record("1")).await;
    let store = EncryptedStore::new(inner.clone(), stage(2));
    create(&store, &id("b"), record("2")).await;
    let total = store.reseal_all().await.unwrap();
    assert_eq!((total.sealed, total.current, total.refused), (0, 1, 1));
    assert_eq!(text(&foreign.load(&id("a")).await.unwrap().unwrap()), "1");
}
