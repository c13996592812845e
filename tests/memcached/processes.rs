//! Two application processes on one cluster. The second is this test's own program, started again.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use session_layer::{MemcachedStore, SessionId, SessionStore, store::Update};

use crate::{server::Memcached, support::*};

const TASK: &str = "SESSION_LAYER_TEST_TASK";
const INCREMENTS: u64 = 500;

async fn increment(store: &MemcachedStore, id: &SessionId) -> bool {
    loop {
        let Some(held) = store.load(id).await.expect("it answers") else { return false };
        let n = u64::from_le_bytes(value(&held).try_into().expect("8 bytes")) + 1;
        let next = record(&n.to_le_bytes());
        match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
            Update::Updated(_) => return true,
            Update::Conflict(_) => {}
            Update::Gone => return false,
        }
    }
}

/// The second process: acts as its environment says; without that, does the same on its own server.
#[tokio::test]
async fn worker() {
    let Ok(task) = std::env::var(TASK) else {
        let server = Memcached::start(&[]);
        let (store, id) = (store([&server]), id());
        created(&store, &id, &record(&0_u64.to_le_bytes())).await;
        assert!(increment(&store, &id).await);
        assert_eq!(value(&loaded(&store, &id).await), 1_u64.to_le_bytes());
        return;
    };
    let (id, servers) = task.split_once(' ').expect("an id and servers");
    let store = MemcachedStore::builder()
        .servers(servers.split(' '))
        .request_timeout(Duration::from_secs(10))
        .build()
        .expect("good settings");
    let id: SessionId = id.parse().expect("an id");
    for _ in 0..INCREMENTS {
        assert!(increment(&store, &id).await, "the session is gone");
    }
    // Increments until the other process logs out.
    while increment(&store, &id).await {}
    assert!(store.load(&id).await.expect("it answers").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_add_up_and_logout_is_final_in_both() {
    let servers = Memcached::cluster(2);
    let store = builder(&servers).request_timeout(Duration::from_secs(10)).build().unwrap();
    let id = id();
    created(&store, &id, &record(&0_u64.to_le_bytes())).await;
    let addresses: Vec<_> = servers.iter().map(Memcached::address).collect();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["processes::worker", "--exact", "--nocapture"])
        .env(TASK, format!("{id} {}", addresses.join(" ")))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..INCREMENTS {
        assert!(increment(&store, &id).await);
    }
    // The other process makes its first five hundred increments at its own pace; more do no harm.
    let number = |stored: &session_layer::store::Stored| u64::from_le_bytes(value(stored).try_into().unwrap());
    let held = loop {
        let held = loaded(&store, &id).await;
        if number(&held) >= 2 * INCREMENTS {
            break held;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(store.remove(&id).await.unwrap());
    let late = record(&1_u64.to_le_bytes());
    assert_eq!(store.update(&id, &late, &held.version, usage(&late)).await.unwrap(), Update::Gone);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the second process failed");
    assert!(store.load(&id).await.unwrap().is_none());
}
