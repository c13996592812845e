//! Every fault of a server, of Sentinels and of a cluster, under the load of three processes.
//!
//! The faults last a short time by default. To run them for longer, and print a report:
//!
//! ```text
//! SESSION_LAYER_CHAOS_SECONDS=60 cargo test --release --all-features --test redis chaos -- --nocapture
//! ```

use std::{thread::sleep, time::Duration};

use crate::{
    client::Promise,
    load::{LIMIT, Load, Report, length, pause},
    server::{self, Cluster, MASTER, Product, Sentinels, Server, slot_of, wait_until},
};

/// How long the faults last by default, in seconds.
const SECONDS: u64 = 2;

fn run(name: &str, url: &str, promise: Promise, fault: impl FnMut(u32)) -> Report {
    let timeout = LIMIT.as_millis();
    let mark = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{mark}timeout_ms={timeout}&connect_timeout_ms={timeout}");
    // All ids with the same first byte are in four slots.
    let first_byte = name.contains("slot").then_some(FIRST_BYTE);
    Load { name: name.to_owned(), url, promise, first_byte, length: length(SECONDS), least: 2 }.run(fault)
}

const FIRST_BYTE: u8 = 0x24;

fn url(server: &Server) -> String {
    format!("redis://{}", server.address())
}

fn killed(name: &str, mut server: Server, promise: Promise) -> Report {
    let url = url(&server);
    run(name, &url, promise, |_| {
        server.kill();
        sleep(pause(300));
        server.restart();
    })
}

#[test]
fn a_killed_server_with_an_append_only_file_loses_nothing() {
    let server = Server::start(Product::Redis, &["--appendonly", "yes", "--appendfsync", "always"]);
    killed("killed, with AOF", server, Promise::All);
}

#[test]
fn a_killed_server_without_persistence_ends_sessions_and_does_nothing_else_to_them() {
    let report = killed("killed, without persistence", Server::start(Product::Valkey, &[]), Promise::Ends);
    assert!(report.lost > 0, "the restarts have ended sessions");
}

#[test]
fn a_stopped_server_loses_nothing() {
    let server = Server::start(Product::Redis, &[]);
    run("stopped", &url(&server), Promise::All, |_| {
        server.stop();
        sleep(pause(300) + LIMIT);
        server.resume();
    });
}

#[test]
fn a_flushed_server_ends_sessions_and_does_nothing_else_to_them() {
    let server = Server::start(Product::Redis, &[]);
    let report = run("FLUSHALL", &url(&server), Promise::Ends, |_| drop(server.cli(&["FLUSHALL"])));
    assert!(report.lost > 0, "sessions have ended");
}

#[test]
fn flushed_scripts_are_no_fault() {
    let server = Server::start(Product::Valkey, &[]);
    let report = run("SCRIPT FLUSH", &url(&server), Promise::All, |_| drop(server.cli(&["SCRIPT", "FLUSH"])));
    assert_eq!(report.errors, 0, "only a busy machine's timeouts");
}

#[test]
fn killed_connections_lose_nothing() {
    let server = Server::start(Product::Redis, &[]);
    run("CLIENT KILL", &url(&server), Promise::All, |_| {
        for _ in 0..5 {
            server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            sleep(pause(20));
        }
    });
}

#[test]
fn a_full_server_loses_nothing() {
    let server = Server::start(Product::Valkey, &["--maxmemory-policy", "noeviction"]);
    let report = run("maxmemory", &url(&server), Promise::All, |_| {
        server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
        sleep(pause(300));
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    });
    assert!(report.errors > 0, "it was full");
}

/// Faults: the primary is killed, stopped, or replaced while it is healthy.
fn promoted(name: &str, mut sentinels: Sentinels, options: &str, promise: Promise) {
    let replicas = sentinels.servers.len() - 1;
    let url = format!("redis-sentinel://{}/{MASTER}{options}", sentinels.addresses().join(","));
    run(name, &url, promise, |round| {
        let old = sentinels.master();
        match round % 3 {
            0 => {
                sentinels.servers[old].kill();
                sentinels.wait_for_other_master(old);
                sentinels.servers[old].restart();
            }
            1 => drop(sentinels.failover()),
            _ => {
                sentinels.servers[old].stop();
                sentinels.wait_for_other_master(old);
                sentinels.servers[old].resume();
            }
        }
        let new = sentinels.master();
        wait_until("the others are its replicas", || {
            sentinels.master() == new && sentinels.servers[new].online_replicas() == replicas
        });
    });
}

#[test]
fn a_promotion_by_sentinels_loses_nothing_that_all_replicas_have_confirmed() {
    // While a healthy primary is replaced, there are two for a moment. A second replica would confirm what the old
    // primary writes.
    let sentinels = Sentinels::start_with(Product::Redis, 1);
    promoted("Sentinel, replicas(1) of 1", sentinels, "?replicas=1", Promise::Acknowledged);
}

#[test]
fn a_promotion_by_sentinels_takes_back_only_what_is_documented() {
    promoted("Sentinel", Sentinels::start(Product::Valkey), "", Promise::Older);
}

/// A replica takes over its primary's slots, for one pair of nodes after another, and back.
fn failed_over(name: &str, product: Product, options: &str, promise: Promise, how: &[&[&str]]) {
    let cluster = Cluster::start(product);
    let url = format!("redis-cluster://{}{options}", cluster.addresses().join(","));
    run(name, &url, promise, |round| {
        let round = usize::try_from(round).unwrap();
        let pair = [&cluster.nodes[round % 3], &cluster.nodes[3 + round % 3]];
        let is_primary = |node: &Server| node.info("role") == "master";
        let [old, new] = if is_primary(pair[0]) { pair } else { [pair[1], pair[0]] };
        wait_until("the primary knows its replica", || old.online_replicas() == 1);
        wait_until("the replica is the primary", || {
            // The other nodes don't vote for a successor of the same primary twice within a few seconds, and a failover
            // that isn't elected is given up. A request for another failover during one is refused.
            let asked = std::time::Instant::now();
            let _ = new.ask(&[&["CLUSTER", "FAILOVER"][..], how[round % how.len()]].concat());
            while !is_primary(new) && asked.elapsed() < Duration::from_secs(6) {
                sleep(Duration::from_millis(5));
            }
            is_primary(new)
        });
        // The nodes don't vote on a takeover, so the cluster may return to the old primary when it compares their
        // epochs.
        wait_until("one is the primary, and the other its replica", || {
            let [primary, replica] = if is_primary(new) { [new, old] } else { [old, new] };
            let port = i64::from(primary.port());
            cluster.nodes.iter().all(|node| serves(node, round % 3) == Some(port))
                && is_primary(primary)
                && !is_primary(replica)
                && primary.online_replicas() == 1
        });
    });
}

/// The port of the node that serves the first slots of this third, as seen by another node.
fn serves(node: &Server, third: usize) -> Option<i64> {
    let slots = node.cli(&["CLUSTER", "SLOTS"]);
    let first = i64::try_from(third * 16_384 / 3).unwrap() + 1;
    let mut ranges = slots.list().iter().map(server::Reply::list);
    let range = ranges.find(|range| (range[0].number()..=range[1].number()).contains(&first))?;
    Some(range[2].list()[1].number())
}

#[test]
fn a_failover_in_a_cluster_loses_nothing() {
    failed_over("CLUSTER FAILOVER", Product::Redis, "", Promise::All, &[&[]]);
}

#[test]
fn a_failover_by_force_loses_nothing_that_the_replica_has_confirmed() {
    let how: [&[&str]; 2] = [&["FORCE"], &["TAKEOVER"]];
    let name = "CLUSTER FAILOVER FORCE and TAKEOVER, replicas(1)";
    failed_over(name, Product::Valkey, "?replicas=1", Promise::Acknowledged, &how);
}

#[test]
fn a_failover_by_force_takes_back_only_what_is_documented() {
    let how: [&[&str]; 2] = [&["FORCE"], &["TAKEOVER"]];
    failed_over("CLUSTER FAILOVER FORCE and TAKEOVER", Product::Redis, "", Promise::Older, &how);
}

#[test]
fn slots_that_move_lose_nothing() {
    let cluster = Cluster::start_with(Product::Valkey, 3, 0, &[]);
    let url = format!("redis-cluster://{}", cluster.addresses().join(","));
    let first = u16::from(FIRST_BYTE) << 2;
    let slots = [0, 1, 2, 3].map(|more| slot_of(&cluster.nodes[0], &format!("{{{:03x}}}", first + more)));
    run("a slot that moves", &url, Promise::All, |round| {
        let slot = slots[usize::try_from(round).unwrap() % slots.len()];
        let to = (cluster.primary_of(slot) + 1) % 3;
        // Slow, so that requests find the slot half moved.
        cluster.migrate(slot, to, |_| sleep(Duration::from_millis(2)));
    });
}
