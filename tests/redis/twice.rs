//! Requests that are delayed, cut off, executed twice, or executed in another order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::{
    DynStore, RedisStore, SessionStore,
    store::{RedisStoreBuilder, Update},
};
use tokio::task::JoinSet;

use crate::{
    client::{self, Promise, World},
    load::length,
    server::{Product, Server},
    support::*,
    unruly::{Habits, Twice, Unruly},
};

/// One connection, so that requests arrive together.
fn through(proxy: &Unruly, limit: Duration) -> RedisStoreBuilder {
    RedisStore::builder().server(proxy.address()).connections(1).request_timeout(limit).connect_timeout(limit)
}

/// Every reported outcome is true, no acknowledged write is lost, and no ended session is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_an_unruly_proxy_are_told_the_truth() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let habits =
            Habits { duplicates: Some(Twice::Later), reorders: true, delays: Duration::from_millis(2), cuts: Some(20) };
        let proxy = Unruly::start(server.port(), habits).await;
        let limit = Duration::from_millis(500);
        let store = through(&proxy, limit).build().unwrap();
        let world = Arc::new(World::new(DynStore::new(store.clone()), Promise::All, limit));
        let stop = Arc::new(AtomicBool::new(false));
        let (tasks, good) = client::run(&world, 0..16, &stop);
        let start = Instant::now();
        // Until everything that the proxy does has happened, and a client has met it.
        let has_all = || {
            let [_, _, _, unknown, _, _, ended, ..] = world.seen.numbers();
            let clients = good.iter().all(|good| good.load(Ordering::SeqCst) >= 20);
            clients && unknown > 0 && ended > 0 && proxy.counts().iter().all(|count| *count > 0)
        };
        while start.elapsed() < length(2) || !has_all() {
            assert!(tasks.iter().all(|task| !task.is_finished()), "a client has failed");
            assert!(start.elapsed() < length(2) + Duration::from_secs(60), "not all clients get on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.store(true, Ordering::Relaxed);
        // The final check, without the proxy.
        let direct = builder(&server).request_timeout(Duration::from_secs(20)).build().unwrap();
        let last = World::new(DynStore::new(direct), Promise::All, limit);
        for task in tasks {
            task.await.unwrap().check_all(&last).await;
        }
        let [answered, errors, timeouts, unknown, _, _, ended, longest, ..] = world.seen.numbers();
        let [duplicated, reordered, cut] = proxy.counts();
        eprintln!(
            "{product:?}: {answered} calls answered, {errors} errors, {timeouts} timeouts, {unknown} outcomes unknown, \
             {ended} sessions ended, longest call {longest} us; {duplicated} requests executed twice, {reordered} in \
             another place, {cut} cuts; {:?}",
            store.statistics(),
        );
    }
}

/// Two requests that were sent together are executed in either order. Each happens once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_that_are_executed_twice_and_in_another_order_add_up() {
    const EACH: u64 = 50;
    let server = Server::start(Product::Redis, &[]);
    let habits = Habits { duplicates: Some(Twice::Later), reorders: true, ..Habits::default() };
    let proxy = Unruly::start(server.port(), habits).await;
    let store = through(&proxy, Duration::from_secs(20)).build().unwrap();
    let ids = [id(), id(), id()];
    for id in &ids {
        created(&store, id, &numbered(0)).await;
    }
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, ids) = (store.clone(), ids);
        tasks.spawn(async move {
            for _ in 0..EACH {
                for id in &ids {
                    assert!(increment(&store, id).await, "it is there");
                }
            }
        });
    }
    tasks.join_all().await;
    let [duplicated, reordered, _] = proxy.counts();
    assert!(duplicated > 0 && reordered > 0, "{duplicated} and {reordered}");
    for id in &ids {
        let held = loaded(&store, id).await;
        assert_eq!(number(&held), 8 * EACH);
        // A logout concurrent with late updates.
        let late = numbered(1);
        let (removed, updated) = tokio::join!(store.remove(id), store.update(id, &late, &held.version, usage(&late)));
        assert!(removed.unwrap(), "whichever came first");
        assert!(matches!(updated.unwrap(), Update::Updated(_) | Update::Gone));
        assert!(store.load(id).await.unwrap().is_none(), "it is back");
    }
}
