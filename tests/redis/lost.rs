//! Lost requests and lost answers: one more request finds out what happened.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use session_layer::{
    RedisStore, Session, SessionStore,
    store::{Acquire, Create, End, Holder, Leases, Rename, StoreErrorKind, Touch, Update, Usage},
};

use crate::{
    proxy::{Fault, Proxy},
    server::{Product, Server, wait_until},
    support::*,
};

/// A store behind a proxy that loses the next script, or the answer to it.
struct Lossy {
    proxy: Proxy,
    store: RedisStore,
    _server: Server,
}

impl Lossy {
    async fn new() -> Self {
        let server = Server::start(Product::Redis, &[]);
        let proxy = Proxy::start(server.port()).await;
        let builder = RedisStore::builder().server(proxy.address()).connections(1);
        let store = builder.request_timeout(Duration::from_secs(5)).build().unwrap();
        // The server gets the scripts first. Otherwise it would refuse an unknown script, and that request would be the
        // lost one.
        let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(3_600));
        created(&store, &id(), &record(b"1")).await;
        store.ensure_epoch("warm", later).await.unwrap();
        store.renew_epoch("warm", later).await.unwrap();
        Self { proxy, store, _server: server }
    }

    fn lose(&self, fault: Fault) {
        self.proxy.arm("EVAL", fault);
    }
}

const BOTH: [Fault; 2] = [Fault::CutRequest, Fault::CutReply];

#[tokio::test]
async fn an_update_a_touch_and_a_lock_are_told_whichever_was_lost() {
    let lossy = Lossy::new().await;
    let store = &lossy.store;
    for fault in BOTH {
        let id = id();
        let version = created(store, &id, &record(b"1")).await;
        let next = record(b"2");
        lossy.lose(fault.clone());
        let Update::Updated(updated) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else {
            panic!()
        };
        let stored = loaded(store, &id).await;
        assert_eq!((stored.version, value(&stored)), (updated, &b"2"[..]));
        let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(3 * 3_600));
        lossy.lose(fault.clone());
        assert_eq!(store.touch(&id, later).await.unwrap(), Touch::Touched);
        lossy.lose(fault.clone());
        let (one, two) = (Holder::generate().unwrap(), Holder::generate().unwrap());
        let Acquire::Acquired { stored: Some(leased), .. } =
            store.acquire(&id, one, Duration::from_secs(60)).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(loaded(store, &id).await.version, leased.version);
        assert_eq!(store.acquire(&id, two, Duration::from_secs(60)).await.unwrap(), Acquire::Held);
    }
    assert_eq!(lossy.proxy.fired(), 6);
}

#[tokio::test]
async fn an_end_is_told_unless_it_was_done_and_not_answered() {
    let lossy = Lossy::new().await;
    let store = &lossy.store;
    let now = SystemTime::now();
    let (one, two) = (id(), id());
    let version = created(store, &one, &record(b"1")).await;
    lossy.lose(Fault::CutRequest);
    assert_eq!(store.end(&one, &version, now).await.unwrap(), End::Ended);
    let version = created(store, &two, &record(b"1")).await;
    lossy.lose(Fault::CutReply);
    let error = store.end(&two, &version, now).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
    assert!(store.load(&two).await.unwrap().is_none());
    // Another write came first.
    let three = id();
    let old = created(store, &three, &record(b"1")).await;
    store.update(&three, &record(b"2"), &old, usage(&record(b"2"))).await.unwrap();
    for fault in BOTH {
        lossy.lose(fault);
        assert!(matches!(store.end(&three, &old, now).await.unwrap(), End::Conflict(Some(_))));
    }
}

/// A create is not sent again, since it could bring back a session that was removed in between.
#[tokio::test]
async fn a_create_is_read_back() {
    let lossy = Lossy::new().await;
    let (store, next) = (&lossy.store, record(b"1"));
    let (one, two) = (id(), id());
    lossy.lose(Fault::CutReply);
    let Create::Created(version) = store.create(&one, &next, usage(&next)).await.unwrap() else { panic!() };
    assert_eq!(loaded(store, &one).await.version, version);
    lossy.lose(Fault::CutRequest);
    assert_eq!(store.create(&two, &next, usage(&next)).await.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown);
    assert!(store.load(&two).await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewal_and_the_epochs_are_told() {
    let lossy = Lossy::new().await;
    let store = &lossy.store;
    let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(3_600));
    for fault in BOTH {
        let owner = format!("{fault:?}");
        lossy.lose(fault.clone());
        let epoch = store.ensure_epoch(&owner, later).await.unwrap();
        assert_eq!(store.owner_epoch(&owner).await.unwrap(), Some(epoch));
    }
    lossy.lose(Fault::CutReply);
    store.renew_epoch("CutReply", later).await.unwrap();
    lossy.lose(Fault::CutRequest);
    assert_eq!(store.renew_epoch("CutReply", later).await.unwrap_err().kind(), StoreErrorKind::OutcomeUnknown);

    let (from, to, next) = (id(), id(), record(b"1"));
    let version = created(store, &from, &next).await;
    lossy.lose(Fault::CutReply);
    let renamed = store.rename(&from, &version, &tombstone(), &to, &next, usage(&next)).await.unwrap();
    assert!(matches!(renamed, Rename::Renamed(_)), "{renamed:?}");
}

/// A primary, and a replica that is stopped later: it then has only what the primary wrote before.
struct Behind {
    primary: Server,
    replica: Server,
    proxy: Proxy,
    store: RedisStore,
}

impl Behind {
    async fn new(product: Product) -> Self {
        let (primary, replica) = (Server::start(product, &[]), Server::start(product, &[]));
        replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        wait_until("the replica is in sync", || primary.online_replicas() == 1);
        let proxy = Proxy::start(primary.port()).await;
        let builder = RedisStore::builder().server(proxy.address()).connections(1).replicas(1);
        let store = builder.request_timeout(Duration::from_secs(5)).build().unwrap();
        let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(3_600));
        let (id, next) = (id(), record(b"1"));
        let version = created(&store, &id, &next).await;
        store.update(&id, &next, &version, usage(&next)).await.unwrap();
        store.ensure_epoch("ada", later).await.unwrap();
        store.renew_epoch("ada", later).await.unwrap();
        store.ensure_epoch("ada", later).await.unwrap();
        Self { primary, replica, proxy, store }
    }
}

/// If reading back finds the write of the first request, it must not count as confirmed by replicas: if the primary
/// fails, the write is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_and_no_replica_has_is_not_acknowledged() {
    for product in Product::ALL {
        let Behind { primary, replica, proxy, store } = Behind::new(product).await;
        let later = Usage::keep_for(SystemTime::now(), Duration::from_secs(3 * 3_600));
        let (id, new, next) = (id(), id(), record(b"2"));
        let version = created(&store, &id, &record(b"1")).await;
        let epoch = store.ensure_epoch("ada", later).await.unwrap();
        let lose = || proxy.arm("EVAL", Fault::CutReply);
        // The replica is connected, but lags.
        replica.stop();
        lose();
        let unknown = [
            store.create(&new, &next, usage(&next)).await.map(drop),
            {
                lose();
                store.update(&id, &next, &version, usage(&next)).await.map(drop)
            },
            {
                lose();
                store.renew_epoch("ada", later).await
            },
        ];
        for answer in unknown {
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::NotReplicated, "{product:?}");
        }
        // All of it was carried out, by a primary that may fail now.
        // Nobody has the token of a session whose creation failed, so it is ended again.
        assert!(store.load(&new).await.unwrap().is_none());
        assert_eq!(value(&loaded(&store, &id).await), b"2");
        assert_ne!(store.owner_epoch("ada").await.unwrap(), Some(epoch));
        drop(primary);
    }
}

/// If a replica confirms the second request, the write is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_and_a_replica_has_is_acknowledged() {
    for product in Product::ALL {
        let Behind { primary, replica, proxy, store } = Behind::new(product).await;
        let (id, next) = (id(), record(b"2"));
        let version = created(&store, &id, &record(b"1")).await;
        proxy.arm("EVAL", Fault::CutReply);
        let Update::Updated(version) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else {
            panic!()
        };
        assert_eq!(loaded(&store, &id).await.version, version, "{product:?}");
        drop(primary);
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(loaded(&builder(&replica).build().unwrap(), &id).await.version, version, "{product:?}");
    }
}

async fn set(session: Session) -> Result<(), session_layer::Error> {
    session.insert("n", 7)
}

async fn add(session: Session) -> Result<(), session_layer::Error> {
    session.update("n", |n: &mut u64| *n += 1)
}

async fn login(session: Session) -> Result<(), session_layer::Error> {
    session.login("ada")
}

async fn logout(session: Session) -> Result<(), session_layer::Error> {
    session.destroy()
}

async fn read(session: Session) -> Result<(), session_layer::Error> {
    session.get::<u64>("n").map(drop)
}

/// The primary has the write, but no replica has confirmed it. The layer must not read it back and report success.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_write_no_replica_confirms_fails_whatever_it_writes() {
    for product in Product::ALL {
        let Behind { primary, replica, store, proxy: _proxy } = Behind::new(product).await;
        let mut sites = Vec::new();
        for _ in 0..5 {
            let mut site = Site::new(&store);
            assert_eq!(site.visit(add).await, StatusCode::OK);
            sites.push(site);
        }
        replica.stop();
        let impatient = RedisStore::builder().server(primary.address()).connections(1).replicas(1);
        let impatient = impatient.request_timeout(Duration::from_millis(700)).build().unwrap();
        let mut visits = Vec::new();
        visits.push(("a new session", Site::new(&impatient).visit(set).await));
        let [blind, closure, begin, end, look] = &mut sites[..] else { panic!("five") };
        for site in [&mut *blind, closure, begin, end, look] {
            site.use_store(&impatient);
        }
        visits.push(("a blind write", blind.visit(set).await));
        visits.push(("a closure", closure.visit(add).await));
        visits.push(("a login", begin.visit(login).await));
        visits.push(("a logout", end.visit(logout).await));
        for (what, status) in visits {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{product:?}: {what}");
        }
        assert_eq!(look.visit(read).await, StatusCode::OK, "{product:?}: a read");
    }
}
