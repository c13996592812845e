//! Chains of renewals: from an old token, the tombstones are followed to the present session.

use session_layer::{Session, conformance::Operation};

use crate::{
    renewing::{SECOND, keys, live, renewed},
    stores::sites,
    support::*,
};

#[tokio::test]
async fn a_chain_of_renewals_is_followed_within_the_grace() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let mut jars = vec![old];
        for _ in 0..4 {
            site.clock.advance(10 * SECOND);
            let newest = renewed(&site, jars.last().unwrap()).await;
            jars.push(newest);
        }
        for (age, jar) in jars.iter().enumerate() {
            assert_eq!(keys(&site, jar).await, "n", "{name} {age}");
        }
        site.clock.advance(40 * SECOND);
        let alive: Vec<bool> = {
            let mut alive = Vec::new();
            for jar in &jars {
                alive.push(is_live(&site, jar).await);
            }
            alive
        };
        assert_eq!(alive, [false, false, true, true, true], "{name}: each until its own grace is over");
    }
}

#[tokio::test]
async fn a_chain_is_followed_to_a_bounded_depth() {
    let site = Site::new();
    let old = site.visitor().await;
    let mut newest = old.clone();
    for _ in 0..8 {
        newest = renewed(&site, &newest).await;
    }
    site.store.forget();
    assert!(is_live(&site, &old).await);
    newest = renewed(&site, &newest).await;
    site.store.forget();
    assert!(!is_live(&site, &old).await, "nine tombstones");
    assert!(site.store.calls(Operation::Load) <= 9);
    assert!(is_live(&site, &newest).await);
}

#[tokio::test]
async fn the_first_of_ten_renewed_ids_ends_the_session() {
    for of_owner in [false, true] {
        let site = Site::with(|builder| builder.renew_every(5 * MINUTE));
        let mut jar = site.member("ada").await;
        let first = jar.id();
        for _ in 0..10 {
            site.clock.advance(5 * MINUTE);
            let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
            assert_eq!((reply.body.as_str(), reply.cookies().len()), ("n", 1));
        }
        let sessions = site.layer.sessions();
        let ended = if of_owner { sessions.revoke_one("ada", &first).await } else { sessions.end(&first).await };
        assert!(ended.unwrap(), "{of_owner}");
        assert!(!is_live(&site, &jar).await, "{of_owner}");
        assert_eq!(live(&site).await, 0, "{of_owner}");
    }
}
