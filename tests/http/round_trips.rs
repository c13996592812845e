//! The number of store calls that a request costs.

use axum::http::StatusCode;
use session_layer::{
    Session,
    conformance::{Operation, fault::Bare},
};

use crate::support::*;

/// Sites over a store that returns the owner's epoch along with a record, and over one with only the required methods.
fn sites() -> [(&'static str, Site, u64); 2] {
    let below = Site::new();
    let bare = Site::over(Bare(below.store.clone()), below.store.clone(), below.clock.clone(), |builder| builder);
    [("whole", Site::new(), 0), ("bare", bare, 1)]
}

fn calls(site: &Site) -> u64 {
    Operation::all().map(|operation| site.store.calls(operation) as u64).sum()
}

/// Returns the number of calls that this request makes.
async fn cost<F>(site: &Site, jar: &mut Jar, request: F) -> u64
where
    F: AsyncFnOnce(&Site, &mut Jar),
{
    let before = calls(site);
    request(site, jar).await;
    calls(site) - before
}

#[tokio::test]
async fn a_request_costs_as_few_calls_as_it_can() {
    for (name, site, one_more) in sites() {
        let mut jar = site.visitor().await;
        let read = async |site: &Site, jar: &mut Jar| {
            site.visit(jar, async |session: Session| session.get::<u8>("n").map(drop)).await;
        };
        let write = async |site: &Site, jar: &mut Jar| {
            site.visit(jar, async |session: Session| session.update("n", |n: &mut u8| *n += 1)).await;
        };
        let login = async |site: &Site, jar: &mut Jar| {
            site.visit(jar, async |session: Session| session.login("ada")).await;
        };
        let logout = async |site: &Site, jar: &mut Jar| {
            let reply = site.visit(jar, async |session: Session| session.destroy()).await;
            assert_eq!(reply.status, StatusCode::OK);
        };
        assert_eq!(cost(&site, &mut jar, read).await, 1, "{name}: a read");
        assert_eq!(cost(&site, &mut jar, write).await, 2, "{name}: a write");
        // Load, epoch, rename. A provided rename takes three calls, and so does a provided epoch.
        let most = if one_more == 0 { 3 } else { 7 };
        let spent = cost(&site, &mut jar, login).await;
        assert!(spent <= most, "{name}: a login is {spent} calls");
        assert_eq!(cost(&site, &mut jar, read).await, 1 + one_more, "{name}: a read with an owner");
        assert_eq!(cost(&site, &mut jar, write).await, 2 + one_more, "{name}: a write with an owner");
        // A store without its own `end` writes a grave and removes it.
        assert_eq!(cost(&site, &mut jar, logout).await, 2 + 2 * one_more, "{name}: a logout with an owner");
        let mut jar = site.visitor().await;
        assert_eq!(cost(&site, &mut jar, logout).await, 2 + one_more, "{name}: a logout");
    }
}
