//! The conformance kit over a real server.

use std::{sync::Arc, time::Duration};

use session_layer::{
    Clock, RedisStore, SessionStore,
    conformance::{self, Harness},
    store::RedisStoreBuilder,
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{Kind, Server, id, key, signal};

/// The harness for a server, with a clock that the kit moves: it is told to scripts, and is at first the server's own. No
/// session lives so short that the server's clock, which can't be moved, ends it before.
fn harness(builder: RedisStoreBuilder, clock: Clock) -> Harness {
    // More than a debug build on a busy machine needs: the kit fails on any error that it did not cause.
    let limit = Duration::from_secs(5);
    let builder = builder.connect_timeout(limit).request_timeout(limit).clock(clock.clone()).value_size_limit(1_048_576);
    let store = builder.clone().build().expect("good settings");
    Harness::new(store, clock)
        .twin(builder.build().expect("good settings"))
        .expects_all()
        .unit(Duration::from_secs(20))
        .refuses(1_048_576)
        .holds(1_000_000)
        .rounds(20)
}

/// With all hooks: damaged bytes, and an unavailable server that keeps its data.
fn with_hooks(server: Server, address: String, clock: Clock) -> Harness {
    let process = server.process();
    let server = Arc::new(server);
    let damaged = Arc::clone(&server);
    let harness = harness(RedisStore::builder().server(address.clone()), clock).keep(server);
    let harness = harness.damage(move |id| {
        let () = damaged.ask(&[b"SET", key(&id).as_bytes(), b"garbage"]);
        async {}
    });
    harness.outage(move |down| {
        let address = address.clone();
        async move {
            signal(process, if down { "-STOP" } else { "-CONT" });
            if !down {
                let probe = RedisStore::builder().server(address).build().expect("good settings");
                while probe.load(&id()).await.is_err() {}
                // The store under test recovers within this time.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
}

/// All checks, several at once.
async fn run(open: impl Fn() -> Harness, leave_out: Option<&str>) {
    let (mut running, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(6)));
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
async fn redis_passes_the_kit() {
    run(
        || {
            let server = Server::start(Kind::Redis, &[]);
            let address = server.address();
            with_hooks(server, address, conformance::manual_clock())
        },
        None,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_passes_the_kit() {
    run(
        || {
            let server = Server::start(Kind::Valkey, &[]);
            let address = server.address();
            with_hooks(server, address, conformance::manual_clock())
        },
        None,
    )
    .await;
}
