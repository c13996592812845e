//! Slow increments by plain `get` and `insert`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use session_layer::{CachedStore, EncryptedStore, Error, KeyRing, Session, store::CacheConfig};
use tokio::task::JoinSet;

use crate::{
    site::{Jar, Site},
    support::*,
};

const MANY: u64 = 50;

/// Sends all increments at once. One that is answered 423 retries after the time in the answer.
async fn slow_increments(site: &Site, jar: &Jar) {
    let inside = Arc::new(AtomicUsize::new(0));
    let mut requests = JoinSet::new();
    for _ in 0..MANY {
        let (site, jar, inside) = (site.clone(), jar.clone(), Arc::clone(&inside));
        requests.spawn(async move {
            loop {
                let inside = Arc::clone(&inside);
                let slow = async move |session: Session| -> Result<String, Error> {
                    let n: u64 = session.get("n")?.unwrap_or_default();
                    let others = inside.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    session.insert("n", n + 1)?;
                    Ok(others.to_string())
                };
                let reply = site.send(&jar, slow).await;
                if reply.status == StatusCode::LOCKED {
                    let seconds: u64 = reply.header("retry-after").parse().unwrap();
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    continue;
                }
                assert_eq!(reply.status, StatusCode::OK);
                return reply.body.parse::<usize>().unwrap();
            }
        });
    }
    let others: usize = requests.join_all().await.into_iter().sum();
    if site.layer_takes_turns() {
        assert_eq!(others, 0, "no handler ran beside another");
    } else {
        assert!(others > 0);
    }
}

impl Site {
    fn layer_takes_turns(&self) -> bool {
        format!("{:?}", self.layer).contains("exclusive: Some")
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_slow_increments_all_count() {
    let site = site();
    let jar = site.visitor().await;
    slow_increments(&site, &jar).await;
    assert_eq!(site.entry(&jar, "n").await.unwrap(), (1 + MANY).to_string());
}

/// A control: without turns, the last write wins in the same handler.
#[tokio::test(start_paused = true)]
async fn without_turns_they_overwrite_each_other() {
    let site = Site::with(|builder| builder.conflict_policy(session_layer::ConflictPolicy::MergeLastWriteWins));
    let jar = site.visitor().await;
    slow_increments(&site, &jar).await;
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
}

/// Two servers: two layers that share nothing but the store.
#[tokio::test(start_paused = true)]
async fn fifty_slow_increments_on_each_of_two_servers_all_count() {
    let one = site();
    let other = Site::over(one.outer.clone(), one.store.clone(), one.clock.clone(), |builder| builder.exclusive(WAIT));
    let jar = one.visitor().await;
    tokio::join!(slow_increments(&one, &jar), slow_increments(&other, &jar));
    assert_eq!(one.entry(&jar, "n").await.unwrap(), (1 + 2 * MANY).to_string());
}

/// Sealed records behind caches that are trusted for a time. Taking a lease makes each server ask the store.
#[tokio::test(start_paused = true)]
async fn slow_increments_all_count_over_caches_and_seals() {
    let base = site();
    let servers = [(), ()].map(|()| {
        let ring = KeyRing::from_lines("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=").unwrap();
        // A cache steps aside for a store in memory, so this store hides its kind.
        let store = base.store.clone().posing_as("remote", false);
        let settings = CacheConfig::new().clock(base.clock.clone()).trusted(Duration::from_secs(3_600));
        let cached = CachedStore::with_config(EncryptedStore::new(store, ring), settings);
        Site::over(cached, base.store.clone(), base.clock.clone(), |builder| builder.exclusive(WAIT))
    });
    let jar = servers[0].visitor().await;
    tokio::join!(slow_increments(&servers[0], &jar), slow_increments(&servers[1], &jar));
    let sessions = servers[0].layer.sessions();
    assert_eq!(sessions.get::<u64>(&jar.id(), "n").await.unwrap(), Some(1 + 2 * MANY));
}
