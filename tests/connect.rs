//! A store from a URL: what each part means, and what a mistake is answered with.

use std::{error::Error, time::SystemTime};

use session_layer::{Check, Create, DynStore, Lifetime, Record, SessionId, SessionStore, Usage, connect};

async fn refused(url: &str) -> String {
    let error = connect(url).await.expect_err("the URL is wrong");
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

async fn holds_a_session(store: &DynStore) {
    let now = SystemTime::now();
    let record = std::sync::Arc::new(Record::session(Check::from_bytes([7; 16]), now, Lifetime::default()));
    let id = SessionId::of_owner("any id will do");
    let created = store.create(&id, &record, Usage::at(&record, now)).await.expect("a store that is open");
    assert!(matches!(created, Create::Created(_)));
    assert!(store.load(&id).await.expect("a store that is open").is_some());
}

#[tokio::test]
async fn memory() {
    for url in ["memory:", "memory:?capacity=10&bytes=1000000&sweep_interval_s=5"] {
        let store = connect(url).await.expect("a URL of the documentation");
        assert_eq!(store.name(), "memory");
        holds_a_session(&store).await;
    }
}

#[tokio::test]
async fn memory_with_a_snapshot() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("memory:?snapshot={}/s.snapshot", dir.path().display());
    let store = connect(&url).await.expect("a path that can be written");
    holds_a_session(&store).await;
    store.close().await.expect("a last snapshot");
    let store = connect(&url).await.expect("a snapshot that can be read");
    assert!(store.load(&SessionId::of_owner("any id will do")).await.expect("a store that is open").is_some());
    store.close().await.expect("a last snapshot");
}

#[tokio::test]
async fn file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sessions");
    let missing = refused(&format!("file:{}", path.display())).await;
    assert_eq!(
        missing,
        format!(
            "the file store's directory {} is missing: create it, or add the option `create=yes` to the store URL",
            path.display()
        )
    );
    std::fs::write(dir.path().join("file"), "").expect("a temporary directory");
    let no_directory = refused(&format!("file:{}/file", dir.path().display())).await;
    assert!(no_directory.starts_with("the file store can't be opened: "), "{no_directory}");
    for url in [
        format!("file:{}?create=yes&durability=none", path.display()),
        format!("file://{}?cache=64&sweep_interval_s=0", path.display()),
    ] {
        let store = connect(&url).await.expect("a URL of the documentation");
        let _ = store.clear().await.expect("a store that is open");
        holds_a_session(&store).await;
    }
}

#[tokio::test]
async fn memcached_is_not_asked_until_it_is_used() {
    let store =
        connect("memcached://127.0.0.1:1,%2Frun%2Fnone.sock/shop?timeout_ms=250&connections=1&list=error&cache=16");
    assert_eq!(store.await.expect("a URL of the documentation").name(), "memcached");
}

#[tokio::test]
async fn mistakes_name_the_part_and_what_is_allowed() {
    assert_eq!(
        refused("sessions").await,
        "the store URL \"sessions\" has no scheme: write `memory:`, `file:DIR` or `memcached://HOST`"
    );
    assert_eq!(
        refused("memcache://x").await,
        "the store URL's scheme `memcache:` is unknown: did you mean `memcached`? the schemes are memory, file and memcached"
    );
    assert_eq!(
        refused("memory:?capacity=many").await,
        "the store URL's option `capacity` is \"many\": it takes a whole number, such as 100"
    );
    assert_eq!(
        refused("file:/x?durability=date").await,
        "the store URL's option `durability` is \"date\": did you mean `data`? it takes none, data, full"
    );
    assert_eq!(refused("memory:?capacity=1&capacity=2").await, "the store URL's option `capacity` is given twice");
    assert_eq!(refused("memory:?capacity").await, "the store URL's option `capacity` has no value: write `capacity=…`");
    assert!(refused("memory:/path").await.contains("takes no path"));
    assert!(refused("memory:?cache=4096").await.contains("`cache` is unknown"));
    assert!(refused("memory:?capacity=0").await.contains("capacity"));
    assert!(refused("file:").await.contains("write `file:DIR`"));
    assert!(refused("memcached:x").await.contains("has no `//`"));
    assert!(refused("memcached://x?list=%ff").await.contains("UTF-8"));
    assert!(refused("memcached://x?connections=0").await.contains("connections"));
}

/// Secrets are not taken from URLs, and not repeated in the refusal.
#[tokio::test]
async fn secrets_are_refused() {
    let error = refused("memcached://bob:hunter2@h1:11211/shop").await;
    assert!(error.contains("credentials(user, password)") && !error.contains("hunter2"), "{error}");
}
