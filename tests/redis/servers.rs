//! The test servers themselves: each kind starts, answers, fails and comes back.

use crate::{
    certificate::Certificate,
    server::{Cluster, Product, Reply, Sentinels, Server, slot_of, wait_until},
};

#[test]
fn one_server_starts_and_loses_its_data_with_its_process() {
    for product in Product::ALL {
        let mut server = Server::start(product, &[]);
        assert_eq!(server.cli(&["PING"]).text(), "PONG");
        let version = if product == Product::Redis { "redis_version" } else { "valkey_version" };
        assert!(!server.info(version).is_empty(), "{product:?}");
        server.cli(&["SET", "a", "1"]);
        server.restart();
        assert_eq!(server.cli(&["GET", "a"]), Reply::Nil);
    }
}

#[test]
fn one_server_keeps_its_data_in_an_append_only_file() {
    for product in Product::ALL {
        let mut server = Server::start(product, &["--appendonly", "yes", "--appendfsync", "always"]);
        server.cli(&["SET", "a", "1"]);
        server.restart();
        wait_until("it has loaded", || server.ask(&["GET", "a"]).is_ok_and(|reply| reply.text() == "1"));
    }
}

#[test]
fn a_stopped_server_answers_again_after_it_is_resumed() {
    let server = Server::start(Product::Redis, &["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"]);
    server.stop();
    server.resume();
    assert_eq!(server.cli(&["CONFIG", "GET", "maxmemory-policy"]).text(), "maxmemory-policy\nallkeys-lru");
}

#[test]
fn a_server_with_tls_a_password_or_a_limited_user_starts() {
    let certificate = Certificate::new();
    assert_eq!(Server::start_tls(&certificate, &[]).cli(&["PING"]).text(), "PONG");
    for product in Product::ALL {
        assert_eq!(Server::start_with_password(product, "hunter2").cli(&["PING"]).text(), "PONG");
        let server = Server::start(product, &["--user", "app", "on", ">hunter2", "~session:*", "+get"]);
        assert!(server.cli(&["ACL", "LIST"]).text().contains("user app on"));
    }
}

#[test]
fn the_monitor_shows_what_other_clients_send() {
    let server = Server::start(Product::Redis, &[]);
    let mut monitor = server.monitor();
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut &stream, b"get a\r\neval \"return redis.call('get', 'b')\" 0\r\n").unwrap();
    let mut commands = Vec::new();
    while commands.len() < 2 {
        commands.extend(monitor.commands());
    }
    assert_eq!(commands, ["GET \"a\"", "EVAL \"return redis.call('get', 'b')\" \"0\""]);
}

#[test]
fn a_cluster_serves_all_slots_and_moves_one() {
    for product in Product::ALL {
        let cluster = Cluster::start(product);
        let slot = slot_of(&cluster.nodes[0], "{1}a");
        let owner = cluster.primary_of(slot);
        cluster.nodes[owner].cli(&["SET", "{1}a", "1"]);
        let other = (owner + 1) % 3;
        let mut seen = Vec::new();
        cluster.migrate(slot, other, |left| seen.push(left));
        assert_eq!(seen, [1, 0]);
        assert_eq!(cluster.nodes[other].cli(&["GET", "{1}a"]).text(), "1");
        assert!(cluster.nodes[owner].ask(&["GET", "{1}a"]).unwrap().text().starts_with("MOVED"));
        cluster.wait_until_healthy();
    }
}

#[test]
fn sentinels_promote_a_replica() {
    for product in Product::ALL {
        let mut sentinels = Sentinels::start(product);
        let first = sentinels.master();
        sentinels.servers[first].kill();
        let second = sentinels.wait_for_other_master(first);
        assert_ne!(first, second);
        sentinels.servers[first].restart();
        wait_until("the old master is a replica", || sentinels.servers[first].info("role") == "slave");
    }
}
