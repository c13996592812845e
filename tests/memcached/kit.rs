//! The conformance kit over every kind of connection.

use std::{sync::Arc, time::Duration};

use session_layer::{
    Clock, MemcachedStore, SessionStore,
    conformance::{self, Harness, Operation},
    store::{ListPolicy, MemcachedStoreBuilder},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    proxy::Proxy,
    server::{self, Memcached},
    support::id,
};

/// The harness for these servers. memcached's clock can't be moved, so the kit really waits.
fn harness(servers: Vec<Memcached>, builder: MemcachedStoreBuilder) -> Harness {
    // More than a debug build on a busy machine needs: the kit fails on any error that it did not cause.
    let limit = Duration::from_secs(5);
    let builder = builder.connect_timeout(limit).request_timeout(limit).list_policy(ListPolicy::Error);
    let store = builder.clone().build().expect("good settings");
    Harness::new(store, Clock::system())
        .twin(builder.build().expect("good settings"))
        .expects([Operation::ListOwner, Operation::Acquire, Operation::Release, Operation::Metadata])
        .unit(Duration::from_secs(1))
        // Expiry is in whole seconds, rounded up, on a clock that ticks once a second; the call takes time as well.
        .late_by(Duration::from_millis(2_500))
        .refuses(1_048_576)
        .holds(1_000_000)
        .rounds(20)
        .keep(servers)
}

fn over(servers: Vec<Memcached>) -> Harness {
    let addresses: Vec<_> = servers.iter().map(Memcached::address).collect();
    harness(servers, MemcachedStore::builder().servers(addresses))
}

/// With all hooks: damaged bytes, and an unavailable server that keeps its data.
fn with_hooks(server: Memcached) -> Harness {
    let (process, address) = (server.process(), server.address());
    let server = Arc::new(server);
    let damaged = Arc::clone(&server);
    let harness = harness(Vec::new(), MemcachedStore::builder().servers([address.clone()])).keep(server);
    let harness = harness.damage(move |id| {
        assert_eq!(damaged.ask(&format!("ms session:{id} 7 T100\r\ngarbage\r\n"), "HD"), ["HD"]);
        async {}
    });
    harness.outage(move |down| {
        let address = address.clone();
        async move {
            server::signal(process, if down { "-STOP" } else { "-CONT" });
            if !down {
                let probe = MemcachedStore::builder().servers([address]).build().expect("good settings");
                while probe.load(&id()).await.is_err() {}
                // The store under test recovers within this time.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
}

/// All checks, several at once: most of the time they wait for memcached's clock.
async fn run(open: impl Fn() -> Harness, leave_out: Option<&str>) {
    let (mut running, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(24)));
    let mut started = 0;
    for check in conformance::checks().iter().filter(|check| Some(check.name) != leave_out) {
        let permit = Arc::clone(&at_once).acquire_owned().await.expect("it is not closed");
        let harness = open();
        started += 1;
        running.spawn(async move {
            let outcome = check.run(harness).await;
            drop(permit);
            outcome
        });
    }
    let outcomes = running.join_all().await;
    let failures: Vec<_> =
        outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(outcomes.len(), started);
    assert!(started > 50, "the kit has {started} checks");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_passes_the_kit() {
    run(|| with_hooks(Memcached::start(&[])), None).await;
}

/// A write that memcached carries out but doesn't answer takes effect once, whichever of its round trips is affected.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost() {
    for check in conformance::checks().iter().filter(|check| check.sentences.contains(&"G6")) {
        let server = Memcached::start(&[]);
        let proxy = Arc::new(Proxy::start(server.port()).await);
        // One connection, since requests of another one would be counted as well.
        let builder = MemcachedStore::builder().servers([proxy.address()]).connections(1);
        let harness = harness(vec![server], builder).lose_answers(move |nth| {
            let lost = proxy.lose_answer(nth);
            async move { lost }
        });
        let outcome = check.run(harness).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_pass_the_kit() {
    run(|| over(Memcached::cluster(3)), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_passes_the_kit() {
    run(|| with_hooks(Memcached::start_on_socket(&[])), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_connection_passes_the_kit() {
    let certificate = crate::certificate::Certificate::new();
    let open = || {
        let server = crate::tls::server(&certificate);
        let address = server.address();
        harness(vec![server], MemcachedStore::builder().servers([address]).tls(crate::tls::client(&certificate)))
    };
    run(open, None).await;
}

/// Except for the number of sessions that `clear` has removed, which is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn generations_pass_the_kit() {
    let open = || {
        let servers = Memcached::cluster(2);
        let addresses: Vec<_> = servers.iter().map(Memcached::address).collect();
        harness(servers, MemcachedStore::builder().servers(addresses).clear_by_generation(true))
    };
    run(open, Some("i4_clear_leaves_nothing")).await;
}
