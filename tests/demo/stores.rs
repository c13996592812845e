//! The demo over other stores: shutdown, sealed records, the cache.

use std::{fs, path::Path};

use serde_json::json;
use tempfile::tempdir;
#[cfg(unix)]
use tokio::task::JoinSet;

#[cfg(all(unix, feature = "redis"))]
use crate::redis::{Cluster, Product, Server};
use crate::{
    browser::Browser,
    process::{Demo, run},
};
#[cfg(unix)]
use crate::{memcached::Memcached, raw::Held};

/// A shutdown closes the store, which writes its sessions.
#[tokio::test]
async fn a_stop_closes_the_store() {
    let dir = tempdir().unwrap();
    let store = format!("memory:?snapshot={}", dir.path().join("sessions").display());
    let demo = Demo::start(&["--plain-http", "--store", &store]);
    let login = Browser::new(&demo).log_in("ann").await;
    demo.stop();
    let demo = Demo::start(&["--plain-http", "--store", &store]);
    assert_eq!(Browser::with_cookie_of(&demo, &login).session().await["user"], "ann");
    demo.stop();
}

/// Creates a secret file in this directory and returns its path.
pub(crate) fn secret(dir: &Path) -> String {
    let path = dir.join("secret");
    // 32 bytes for these tests alone.
    fs::write(&path, "k8oQ2Jm1yq0X4cV9b7s5tF3hL6dR1wE0zG8uN2pA5iM=\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    path.display().to_string()
}

#[tokio::test]
async fn records_are_sealed_and_the_cookie_is_signed_with_a_secret() {
    let dir = tempdir().unwrap();
    let secret = secret(dir.path());
    let records = dir.path().join("sessions");
    let store = format!("file:{}?create=yes", records.display());
    let arguments = ["--plain-http", "--store", &store, "--secret-file", &secret, "--cache", "100"];
    let demo = Demo::start(&arguments);
    let login = Browser::new(&demo).log_in("ann-the-visitor").await;
    let browser = Browser::with_cookie_of(&demo, &login);
    browser.put("/api/entries/k", "\"a-plain-value\"").await.expect(204);
    assert_eq!(browser.session().await["keys"], json!(["k", "user"]));
    let bytes = contents(&records);
    assert!(!bytes.is_empty());
    for plain in ["ann-the-visitor", "a-plain-value"] {
        assert!(!bytes.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain} is readable");
    }
    // Changes one character of the signature.
    let cookie = login.cookie();
    let last = if cookie.ends_with('A') { "B" } else { "A" };
    let forged = Browser::with_cookie(&demo, &format!("{}{last}", &cookie[..cookie.len() - 1]));
    assert_eq!(forged.session().await["new"], true);
    demo.stop();
    // The same secret opens the records again.
    let demo = Demo::start(&arguments);
    assert_eq!(Browser::with_cookie_of(&demo, &login).entry("k").await, "a-plain-value");
    demo.stop();
    // Without the secret, sealed records are not read in another way, and not overwritten.
    let demo = Demo::start(&["--plain-http", "--store", &store]);
    let unsigned = cookie.split('.').next().unwrap();
    let browser = Browser::with_cookie(&demo, unsigned);
    browser.get("/api/session").await.no_cookie().error(500);
    browser.put("/api/entries/k", "1").await.no_cookie().error(500);
    demo.stop();
    assert_eq!(contents(&records), bytes);
}

fn contents(dir: &Path) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| if path.is_dir() { contents(path) } else { fs::read(path).unwrap() }).collect()
}

#[test]
fn a_store_that_can_not_be_opened_says_what_to_do() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let below_a_file = format!("file:{}", file.join("sessions").display());
    for (url, parts) in [
        ("memry:", ["check --store", "memory"]),
        ("memory:?capacty=5", ["check --store", "did you mean `capacity`"]),
        ("", ["check --store", "memory"]),
        (&*below_a_file, ["check --store", "sessions"]),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", "--store", url]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {error}");
        assert!(output.stdout.is_empty(), "{url}: it listened");
        assert!(parts.iter().all(|part| error.contains(part)), "{url}: {error}");
    }
}

#[test]
fn a_secret_that_can_not_be_used_says_what_to_do() {
    let dir = tempdir().unwrap();
    let weak = dir.path().join("weak");
    fs::write(&weak, "c2hvcnQ=\n").unwrap();
    for path in [weak, dir.path().join("none")] {
        let path = path.display().to_string();
        let output = run(&["--listen", "127.0.0.1:0", "--secret-file", &path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("openssl rand -base64 32") && error.contains(&path), "{error}");
    }
}

/// Several processes lose no count, and share a logout. Returns how many live sessions they show at the end.
#[cfg(unix)]
async fn share_sessions<const N: usize>(stores: [&str; N]) -> serde_json::Value {
    const MANY: usize = 100;
    let demos = stores.map(|store| Demo::start(&["--plain-http", "--store", store]));
    let login = Browser::new(&demos[0]).log_in("ann").await;
    let browsers = demos.each_ref().map(|demo| Browser::with_cookie_of(demo, &login));
    let mut requests = JoinSet::new();
    for number in 0..MANY {
        let browser = browsers[number % N].clone();
        requests.spawn(async move {
            browser.post("/api/counters/n?delay_ms=100").await.expect(200).no_cookie();
        });
    }
    requests.join_all().await;
    for browser in &browsers {
        assert_eq!(browser.entry("n").await, MANY);
    }
    // All processes have loaded the session when one of them ends it.
    let cookie = login.cookie();
    let mut late = Vec::new();
    for demo in &demos {
        late.push(Held::put(demo, &cookie, "/api/entries/k", "1").await);
    }
    browsers[0].post("/logout").await.expect(303);
    for request in late {
        assert!(!request.finish().await.contains("set-cookie"));
    }
    for browser in &browsers {
        let session = browser.session().await;
        assert_eq!((&session["new"], &session["keys"]), (&json!(true), &json!([])));
    }
    // The list of devices is shared as well.
    let others = demos.each_ref().map(Browser::new);
    for browser in &others {
        browser.log_in("bob").await;
    }
    let (last, first) = (&others[N - 1], &others[0]);
    assert_eq!(first.get("/api/devices").await.expect(200).json().as_array().unwrap().len(), N);
    last.post("/api/devices/revoke-others").await.expect(204).no_cookie();
    first.get("/api/devices").await.error(401);
    assert_eq!(last.session().await["user"], "bob");
    let live = last.get("/api/figures").await.expect(200).json()["live"].clone();
    for demo in demos {
        demo.stop();
    }
    live
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_memcached_cluster_share_sessions() {
    let servers = Memcached::cluster(2);
    let store = format!("memcached://{},{}/demo", servers[0].address(), servers[1].address());
    // memcached does not know the number of sessions, so it is not shown.
    assert_eq!(share_sessions([&*store; 2]).await, json!(null));
}

#[cfg(all(unix, feature = "redis"))]
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_redis_server_share_sessions() {
    let server = Server::start(Product::Redis, &[]);
    let store = format!("redis://{}/1?prefix=demo", server.address());
    let live = share_sessions([&*store; 2]).await;
    assert!(live.is_number(), "{live}");
}

/// Each process gets the address of one node.
#[cfg(all(unix, feature = "redis"))]
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_three_nodes_of_a_redis_cluster_share_sessions() {
    let cluster = Cluster::start_with(Product::Valkey, 3, 0, &[]);
    let stores: Vec<_> = cluster.nodes.iter().map(|node| format!("redis-cluster://{}", node.address())).collect();
    let live = share_sessions([&stores[0], &stores[1], &stores[2]]).await;
    assert!(live.is_number(), "{live}");
}
