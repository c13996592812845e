//! Requests that are dropped at any of their awaits don't lose a connection, don't leave one in a transaction, and
//! don't give one client another's answer.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use session_layer::{
    DynStore, SessionId, SessionStore,
    record::{Epoch, Owner, Record},
    store::{Create, Holder, Update},
};

use crate::{
    server::{Bouncer, Product, Server, wait_until},
    support::*,
};

const DROPPED: usize = 4_000;
const CONNECTIONS: usize = 3;

/// A value that names its sender.
fn tagged(who: usize, round: usize) -> Vec<u8> {
    let mut bytes = format!("[{who}] in round {round} ").into_bytes();
    bytes.resize(bytes.len() + (random() % 700) as usize, b'0' + u8::try_from(who % 10).unwrap());
    bytes.extend_from_slice(format!("[{who}]").as_bytes());
    bytes
}

fn is_of(who: usize, value: &[u8]) -> bool {
    let tag = format!("[{who}]").into_bytes();
    value.starts_with(&tag) && value.ends_with(&tag)
}

fn owned(who: usize, round: usize) -> Arc<Record> {
    let owner = Owner::new(format!("owner {who}"), Epoch::from_u64(1)).expect("a name");
    Arc::new((*record(&tagged(who, round))).clone().with_owner(Some(owner)))
}

/// Polls a future a few times, or for a few microseconds, and drops it. Returns whether it was dropped unfinished.
async fn drop_somewhere<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    if random().is_multiple_of(2) {
        let mut left = random() % 6;
        return poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(true);
            }
            left -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await;
    }
    tokio::time::timeout(Duration::from_micros(random() % 3_000), future).await.is_err()
}

/// Makes each kind of request and drops it at some point, until enough have been dropped unfinished.
async fn drops(store: DynStore, who: usize, dropped: Arc<AtomicUsize>) {
    let (mut id, first) = (id(), owned(who, 0));
    let mut version = created(&store, &id, &first).await;
    let mut round = 0;
    while dropped.load(Ordering::Relaxed) < DROPPED {
        round += 1;
        let next = owned(who, round);
        let other = crate::support::id();
        let unfinished = match random() % 8 {
            0 => drop_somewhere(store.load(&id)).await,
            1 => drop_somewhere(store.touch(&id, usage(&next))).await,
            2 => drop_somewhere(store.update(&id, &next, &version, usage(&next))).await,
            3 => drop_somewhere(store.remove(&other)).await,
            4 => drop_somewhere(store.create(&other, &next, usage(&next))).await,
            5 => drop_somewhere(store.owners().expect("it has").list_owner(&format!("owner {who}"))).await,
            6 => {
                let leases = store.leases().expect("it has");
                drop_somewhere(leases.acquire(&id, Holder::from_u128(who as u128), Duration::from_millis(1))).await
            }
            _ => drop_somewhere(store.rename(&id, &version, &tombstone(), &other, &next, usage(&next))).await,
        };
        if unfinished {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
        if round % 8 == 0 {
            (id, version) = settle(&store, who, id).await;
        }
    }
    settle(&store, who, id).await;
}

/// Checks that the stored value is this client's own. If the session is gone, for example because a rename took effect,
/// creates a new one.
async fn settle(store: &DynStore, who: usize, id: SessionId) -> (SessionId, session_layer::store::Version) {
    let stored = store.load(&id).await.expect("it answers");
    if let Some(stored) = stored.filter(|stored| stored.record.is_session()) {
        assert!(is_of(who, value(&stored)), "{who} was given another's value");
        return (id, stored.version);
    }
    let (id, first) = (crate::support::id(), owned(who, 0));
    let version = created(store, &id, &first).await;
    (id, version)
}

/// Meanwhile, makes requests that are not dropped, and checks each answer.
async fn watches(store: DynStore, who: usize, done: Arc<AtomicBool>) -> usize {
    let (id, mut round) = (id(), 0);
    while !done.load(Ordering::Relaxed) {
        let held = tagged(who, round);
        let now = record(&held);
        match store.load(&id).await.expect("it answers") {
            None => {
                let answer = store.create(&id, &now, usage(&now)).await.expect("it answers");
                assert!(matches!(answer, Create::Created(_)));
            }
            Some(stored) => {
                assert!(is_of(who, value(&stored)), "{who} was given another's value");
                let answer = store.update(&id, &now, &stored.version, usage(&now)).await.expect("it answers");
                assert!(matches!(answer, Update::Updated(_)), "{answer:?}");
            }
        }
        assert_eq!(value(&loaded(&store, &id).await), held);
        round += 1;
    }
    round
}

async fn dropped_requests_leave_nothing_behind(store: DynStore) {
    let (dropped, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let droppers: Vec<_> = (0..6).map(|who| tokio::spawn(drops(store.clone(), who, Arc::clone(&dropped)))).collect();
    let watchers: Vec<_> = (100..104).map(|who| tokio::spawn(watches(store.clone(), who, Arc::clone(&done)))).collect();
    for dropper in droppers {
        dropper.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for watcher in watchers {
        assert!(watcher.await.unwrap() > 0);
    }
    assert!(dropped.load(Ordering::Relaxed) >= DROPPED);
    // No connection was lost: concurrent requests on all of them are answered.
    let all = (0..CONNECTIONS * 4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.load(&id()).await.expect("a connection is free") })
    });
    for request in all.collect::<Vec<_>>() {
        assert!(request.await.unwrap().is_none());
    }
}

/// The number of connections, and how many of them are running a statement or in a transaction.
fn connections(server: &Server, database: &str) -> (usize, usize) {
    let query = match server.product() {
        Product::Postgres => format!(
            "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity \
             WHERE datname = '{database}' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ),
        Product::MariaDb => format!(
            "SELECT (SELECT count(*) FROM information_schema.processlist WHERE db = '{database}' AND id <> \
             connection_id()), (SELECT count(*) FROM information_schema.innodb_trx)"
        ),
    };
    let row = server.sql(database, &query);
    let (all, busy) = row.split_once('\t').expect("two columns");
    (all.parse().expect("a number"), busy.parse().expect("a number"))
}

async fn over(product: Product) {
    let server = Server::start(product, &[]);
    let database = server.database();
    let url = server.url(&database);
    dropped_requests_leave_nothing_behind(
        open(&format!("{url}?create=yes&connections={CONNECTIONS}&timeout_ms=60000")).await,
    )
    .await;
    // The store has been dropped, so its connections may have ended; none may be in a transaction.
    wait_until("no connection is in the middle of something", || {
        let (all, busy) = connections(&server, &database);
        assert!(all <= CONNECTIONS, "{all} connections");
        busy == 0
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_leave_nothing_behind_on_postgres() {
    over(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_leave_nothing_behind_on_mariadb() {
    over(Product::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_leave_nothing_behind_in_a_bouncer() {
    let server = Server::shared(Product::Postgres);
    let (bouncer, database) = (Bouncer::start(server, &[]), server.database());
    drop(open(&format!("{}?create=yes", server.url(&database))).await);
    let url = format!("{}?connections={CONNECTIONS}&timeout_ms=60000&prepared_statements=no", bouncer.url(&database));
    dropped_requests_leave_nothing_behind(open(&url).await).await;
    wait_until("no connection is in the middle of something", || connections(server, &database).1 == 0);
}
