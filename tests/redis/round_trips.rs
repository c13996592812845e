//! How many requests to the server one request of a visitor causes, counted with the server's `MONITOR`, and in a
//! cluster by proxies.

use std::time::Duration;

use http::StatusCode;
use session_layer::{RedisStore, Session, SessionId, SessionStore};

use crate::{
    proxy::Proxy,
    server::{Cluster, Monitor, Product, Server, slot_of},
    support::*,
};

/// Returns how many scripts and reads the visit has run. Earlier visits have already sent the scripts in full.
async fn cost(monitor: &mut Monitor<'_>, visit: impl Future<Output = StatusCode>) -> usize {
    monitor.commands();
    assert_eq!(visit.await, StatusCode::OK);
    let mut commands = monitor.commands();
    // This is sent along with a read, so that no replica answers it.
    commands.retain(|command| !(command.starts_with("UNLINK ") && command.ends_with(":none\"")));
    let is_known = |command: &String| command.starts_with("EVALSHA ") || command.starts_with("MGET ");
    assert!(commands.iter().all(is_known), "{commands:#?}");
    commands.len()
}

async fn read(session: Session) -> Result<(), session_layer::Error> {
    session.get::<u8>("n").map(drop)
}

async fn write(session: Session) -> Result<(), session_layer::Error> {
    session.update("n", |n: &mut u8| *n += 1)
}

async fn login(session: Session) -> Result<(), session_layer::Error> {
    session.login("ada")
}

async fn logout(session: Session) -> Result<(), session_layer::Error> {
    session.destroy()
}

#[tokio::test]
async fn a_request_costs_as_few_round_trips_as_it_can() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        // One connection, so that no other is opened while requests are counted.
        let store = builder(&server).connections(1).build().unwrap();
        for _ in 0..2 {
            let mut warm = Site::new(&store);
            for status in [warm.visit(write).await, warm.visit(login).await, warm.visit(write).await] {
                assert_eq!(status, StatusCode::OK);
            }
            assert_eq!((warm.visit(read).await, warm.visit(logout).await), (StatusCode::OK, StatusCode::OK));
        }
        let (mut monitor, mut site) = (server.monitor(), Site::new(&store));
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 1, "{product:?}: a new session");
        assert_eq!(cost(&mut monitor, site.visit(read)).await, 1, "{product:?}: a read");
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 2, "{product:?}: a write");
        assert_eq!(cost(&mut monitor, site.visit(login)).await, 4, "{product:?}: a login");
        assert_eq!(cost(&mut monitor, site.visit(read)).await, 1, "{product:?}: a read with an owner");
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 2, "{product:?}: a write with an owner");
        assert_eq!(cost(&mut monitor, site.visit(logout)).await, 2, "{product:?}: a logout");
    }
}

/// Returns how often the visit has waited for replies, and how many commands it has sent.
async fn cluster_cost(proxies: &[Proxy], visit: impl Future<Output = StatusCode>) -> (u64, u64) {
    // All proxies share their counts.
    let proxy = &proxies[0];
    proxy.round_trips();
    proxy.commands();
    assert_eq!(visit.await, StatusCode::OK);
    (proxy.round_trips(), proxy.commands())
}

/// The node that has a key, of three.
fn node_of(cluster: &Cluster, key: &str) -> u16 {
    slot_of(&cluster.nodes[0], key) / 5_462
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_a_cluster_costs_as_few_round_trips_as_it_can() {
    for product in Product::ALL {
        let cluster = Cluster::start_with(product, 3, 0, &[]);
        let proxies = proxied(&cluster).await;
        let limit = Duration::from_secs(20);
        let store = RedisStore::builder().cluster(proxies.iter().map(Proxy::address)).connections(1);
        let store = store.request_timeout(limit).connect_timeout(limit).build().unwrap();
        // Repeated until each node has each script.
        for _ in 0..40 {
            let mut warm = Site::new(&store);
            for status in [warm.visit(write).await, warm.visit(login).await, warm.visit(write).await] {
                assert_eq!(status, StatusCode::OK);
            }
            assert_eq!((warm.visit(read).await, warm.visit(logout).await), (StatusCode::OK, StatusCode::OK));
        }
        // With a delay, requests that are sent together are all sent before the first reply arrives.
        proxies[0].delay(Duration::from_millis(50));
        let mut site = Site::new(&store);
        assert_eq!(cluster_cost(&proxies, site.visit(write)).await, (1, 1), "{product:?}: a new session");
        assert_eq!(cluster_cost(&proxies, site.visit(read)).await, (1, 1), "{product:?}: a read");
        assert_eq!(cluster_cost(&proxies, site.visit(write)).await, (2, 2), "{product:?}: a write");
        assert_eq!(cluster_cost(&proxies, site.visit(logout)).await, (2, 2), "{product:?}: a logout");
        // Repeated until the session is on another node than its owner's epoch.
        let epoch = node_of(&cluster, &key(&SessionId::for_epoch("ada")));
        let mut site = loop {
            let mut site = Site::new(&store);
            assert_eq!(site.visit(write).await, StatusCode::OK);
            // The owner's list is on another node. It is written in parallel with the tombstone.
            assert_eq!(cluster_cost(&proxies, site.visit(login)).await, (4, 5), "{product:?}: a login");
            let listed = store.owners().unwrap().list_owner("ada").await.unwrap();
            if node_of(&cluster, &key(&listed[0].id)) != epoch {
                break site;
            }
            assert_eq!(site.visit(logout).await, StatusCode::OK);
        };
        assert_eq!(cluster_cost(&proxies, site.visit(read)).await, (2, 2), "{product:?}: a read with an owner");
        assert_eq!(cluster_cost(&proxies, site.visit(write)).await, (3, 3), "{product:?}: a write with an owner");
        assert_eq!(cluster_cost(&proxies, site.visit(logout)).await, (3, 3), "{product:?}: a logout with an owner");
    }
}
