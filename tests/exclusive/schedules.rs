//! Random mixtures of requests that are quick or slow, outlast their lease, fail, panic or are dropped. Each
//! acknowledged increment counts once, and no lease is left.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use session_layer::{Error, Session};
use tokio::task::JoinSet;

use crate::{site::Site, support::*};

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Waits this many milliseconds between its read and its write.
    Slow(u64),
    /// All leases run out while it works.
    Overstays(u64),
    Fails,
    Panics,
    /// Its client disconnects after this many milliseconds.
    IsDropped(u64),
    Reads,
}

fn ways() -> impl Strategy<Value = Vec<(u64, Way)>> {
    let way = prop_oneof![
        4 => (0..50_u64).prop_map(Way::Slow),
        1 => (0..50_u64).prop_map(Way::Overstays),
        1 => Just(Way::Fails),
        1 => Just(Way::Panics),
        2 => (0..100_u64).prop_map(Way::IsDropped),
        1 => Just(Way::Reads),
    ];
    // Each comes at its own time.
    prop::collection::vec((0..200_u64, way), 1..60)
}

async fn increment_in(session: Session, way: Way, clock: session_layer::Clock) -> Result<StatusCode, Error> {
    let n: u64 = session.get("n")?.unwrap_or_default();
    match way {
        Way::Slow(millis) | Way::Overstays(millis) | Way::IsDropped(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Way::Fails | Way::Panics | Way::Reads => tokio::task::yield_now().await,
    }
    if matches!(way, Way::Reads) {
        return Ok(StatusCode::NO_CONTENT);
    }
    if matches!(way, Way::Overstays(_)) {
        clock.advance(LEASE);
        // A waiting request asks the store again by tokio's time.
        tokio::time::sleep(LEASE).await;
    }
    session.insert("n", &(n + 1))?;
    match way {
        Way::Panics => panic!("as the test wants it"),
        Way::Fails => Ok(StatusCode::BAD_GATEWAY),
        _ => Ok(StatusCode::OK),
    }
}

async fn run(ways: Vec<(u64, Way)>) -> Result<(), TestCaseError> {
    let site = Site::with(|builder| builder.exclusive(WAIT));
    let jar = site.visitor().await;
    let mut requests = JoinSet::new();
    for (begins, way) in ways {
        let (site, jar) = (site.clone(), jar.clone());
        requests.spawn(async move {
            tokio::time::sleep(Duration::from_millis(begins)).await;
            let clock = site.clock.clone();
            let request = tokio::spawn(site.send(&jar, async move |session| increment_in(session, way, clock).await));
            if let Way::IsDropped(millis) = way {
                tokio::time::sleep(Duration::from_millis(millis / 2)).await;
                request.abort();
            }
            match request.await {
                Ok(reply) => Some(reply.status),
                // Dropped or panicked.
                Err(_) => None,
            }
        });
    }
    let statuses = requests.join_all().await;
    let allowed = |status: &StatusCode| [200, 204, 409, 423, 502].contains(&status.as_u16());
    prop_assert!(statuses.iter().flatten().all(allowed), "{:?}", statuses);
    let counted = statuses.iter().filter(|status| **status == Some(StatusCode::OK)).count();
    prop_assert_eq!(site.entry(&jar, "n").await.unwrap(), (1 + counted).to_string());
    // Dropped requests have given their leases back.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    prop_assert!(free(&site, &jar).await);
    let layer = format!("{:?}", site.layer);
    prop_assert!(layer.contains("leases: Lines { sessions: 0 }"), "{}", layer);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_acknowledged_increment_counts_once(ways in ways()) {
        // Hides the messages of intended panics.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(ways))?;
    }
}
