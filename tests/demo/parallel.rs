//! Many requests on one session lose nothing.

use std::collections::BTreeSet;

use serde_json::json;
use tempfile::tempdir;
use tokio::task::JoinSet;

use crate::{browser::Browser, process::Demo, raw::Held, stores::secret};

/// The number of concurrent requests.
const MANY: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writes_of_different_keys_keep_a_hundred_keys() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    browser.log_in("ann").await;
    let mut requests = JoinSet::new();
    for number in 0..MANY {
        let browser = browser.clone();
        requests.spawn(async move {
            let path = format!("/api/entries/key-{number:03}?delay_ms=100");
            browser.put(&path, number.to_string()).await.expect(204).no_cookie();
        });
    }
    requests.join_all().await;
    let expected: BTreeSet<String> =
        (0..MANY).map(|number| format!("key-{number:03}")).chain(["user".to_owned()]).collect();
    assert_eq!(browser.session().await["keys"], json!(expected));
    assert_eq!(browser.entry("key-042").await, 42);
    demo.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_counts_end_at_a_hundred() {
    counts_add_up(Demo::plain()).await;
}

/// The same over sealed files behind a cache.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_counts_end_at_a_hundred_in_sealed_files_behind_a_cache() {
    let dir = tempdir().unwrap();
    let store = format!("file:{}", dir.path().join("sessions").display());
    let (store, secret) = (format!("{store}?create=yes&durability=none"), secret(dir.path()));
    let demo = Demo::start(&["--plain-http", "--store", &store, "--secret-file", &secret, "--cache", "10"]);
    counts_add_up(demo).await;
}

async fn counts_add_up(demo: Demo) {
    let browser = Browser::new(&demo);
    browser.log_in("ann").await;
    let mut requests = JoinSet::new();
    for _ in 0..MANY {
        let browser = browser.clone();
        requests.spawn(async move {
            browser.post("/api/counters/n?delay_ms=100").await.expect(200).no_cookie();
        });
    }
    requests.join_all().await;
    assert_eq!(browser.entry("n").await, MANY);
    demo.stop();
}

/// One at a time: each request counts or is refused. A refused one that is retried when the line is shorter counts as
/// well.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_counts_one_at_a_time() {
    let demo = Demo::start(&["--plain-http", "--exclusive"]);
    let browser = Browser::new(&demo);
    browser.log_in("ann").await;
    let mut requests = JoinSet::new();
    for _ in 0..MANY {
        let browser = browser.clone();
        requests.spawn(async move { browser.post("/api/counters/n?delay_ms=10").await.no_cookie() });
    }
    let answers = requests.join_all().await;
    let refused = answers.iter().filter(|answer| answer.status.as_u16() == 423).count();
    for answer in answers {
        if answer.status.as_u16() == 423 {
            assert_eq!(answer.header("retry-after"), Some("10"));
            assert_eq!(answer.error(423), "the session is in use by other requests: try again later");
        } else {
            answer.expect(200);
        }
    }
    // One request ran, one asked the store, and 32 waited behind it.
    assert!(refused <= MANY - 34, "{refused} of {MANY}");
    assert_eq!(browser.entry("n").await, MANY - refused);
    for _ in 0..refused {
        browser.post("/api/counters/n").await.expect(200);
    }
    assert_eq!(browser.entry("n").await, MANY);
    demo.stop();
}

/// Each request reads, waits and sets the value in its turn, so it sees its predecessor's write.
#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_the_second_waits_for_the_first() {
    let demo = Demo::start(&["--plain-http", "--exclusive"]);
    let browser = Browser::new(&demo);
    let cookie = browser.log_in("ann").await.cookie();
    let first = Held::put(&demo, &cookie, "/api/entries/k", "1").await;
    let second = tokio::spawn({
        let browser = browser.clone();
        async move { browser.get("/api/entries/k").await.expect(200).json() }
    });
    // The second request has loaded its session and asked for the lease.
    demo.until("lease requested", 2).await;
    assert!(!second.is_finished());
    assert!(first.finish().await.starts_with("http/1.1 204 "));
    assert_eq!(second.await.unwrap(), 1);
    demo.stop();
}

/// All requests load the same version before the first one writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writes_that_loaded_the_same_version_all_succeed() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let cookie = browser.log_in("ann").await.cookie();
    let mut held = Vec::new();
    for number in 0..MANY {
        held.push(Held::put(&demo, &cookie, &format!("/api/entries/key-{number}"), "1").await);
    }
    let mut requests = JoinSet::new();
    for request in held {
        requests.spawn(request.finish());
    }
    for answer in requests.join_all().await {
        assert!(answer.starts_with("http/1.1 204 ") && !answer.contains("set-cookie"), "{answer}");
    }
    assert_eq!(browser.session().await["keys"].as_array().unwrap().len(), MANY + 1);
    demo.stop();
}

/// A first-time visitor's requests each create their own session.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_visitors_get_separate_sessions() {
    let demo = Demo::plain();
    let mut requests = JoinSet::new();
    for number in 0..MANY {
        let browser = Browser::new(&demo);
        requests.spawn(async move {
            browser.log_in(&format!("user-{number}")).await;
            browser.put("/api/entries/n", number.to_string()).await.expect(204);
            let session = browser.session().await;
            assert_eq!((&session["user"], browser.entry("n").await), (&json!(format!("user-{number}")), json!(number)));
            session["id"].as_str().unwrap().to_owned()
        });
    }
    let ids: BTreeSet<String> = requests.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), MANY);
    demo.stop();
}
