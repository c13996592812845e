//! Periodic renewals: the layer renews a session by itself once its token has the set age.

use std::time::Duration;

use http::StatusCode;
use session_layer::{
    ConflictPolicy, Session,
    conformance::{Operation, fault::Fault},
    store::StoreErrorKind,
};
use tracing::Level;

use crate::{
    renewing::{SECOND, keys, over_a_renewal, renewed},
    stores::{sites, sites_with},
    support::*,
};

#[tokio::test]
async fn a_periodic_renewal_issues_a_new_token_once_the_old_one_has_the_set_age() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        let mut jar = site.member("ada").await;
        site.clock.advance(15 * MINUTE - SECOND);
        assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}");
        site.clock.advance(SECOND);
        for what in ["fails", "polls"] {
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    if what == "polls" {
                        session.skip_touch();
                        StatusCode::OK
                    } else {
                        StatusCode::INTERNAL_SERVER_ERROR
                    }
                })
                .await;
            assert!(reply.sets_no_cookie(), "{name}: a request that {what} renews nothing");
        }
        let old = jar.clone();
        let reply = site.visit(&mut jar, async |session: Session| session.insert("m", 1)).await;
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{name}");
        assert_ne!(jar.value, old.value, "{name}");
        let seen = site.send(&jar, async |s: Session| format!("{:?} {}", s.owner(), s.keys().join(","))).await;
        assert_eq!(seen.body, r#"Some("ada") m,n"#, "{name}");
        assert!(is_live(&site, &old).await, "{name}");
        // Right afterwards, the token is new.
        assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}");
    }
}

/// The answer with the new token was lost, and the browser continues with the old one.
#[tokio::test]
async fn a_forwarded_request_renews_again_only_while_the_newest_token_is_unseen_and_five_seconds_old() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        for is_seen in [false, true] {
            let mut jar = site.visitor().await;
            site.clock.advance(15 * MINUTE);
            let lost = site.send(&jar, async |_: Session| ()).await;
            assert_eq!(lost.cookies().len(), 1, "{name}");
            let mut newest = jar.clone();
            newest.absorb(&lost);
            site.clock.advance(5 * SECOND - Duration::from_millis(1));
            assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}: it may be on its way");
            if is_seen {
                site.send(&newest, async |_: Session| ()).await;
            }
            site.clock.advance(Duration::from_millis(1));
            let reply = site.visit(&mut jar, async |_: Session| ()).await;
            assert_eq!(reply.sets_no_cookie(), is_seen, "{name}");
            site.clock.advance(2 * MINUTE);
            assert_eq!(is_live(&site, &jar).await, !is_seen, "{name}");
        }
    }
}

/// As long as only old tokens are used, it is unknown whether the new one has arrived.
#[tokio::test]
async fn the_first_use_of_the_new_token_is_recorded_and_uses_of_the_old_one_are_not() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let new = renewed(&site, &old).await;
        let renewed_at = site.stored(&new.id()).await.unwrap().used_at;
        site.clock.advance(SECOND);
        site.send(&old, async |_: Session| ()).await;
        site.send(&old, async |session: Session| session.insert("old", 1)).await;
        site.send(&old, async |session: Session| session.touch_now().await).await;
        let stored = site.stored(&new.id()).await.unwrap();
        assert_eq!(stored.used_at, renewed_at, "{name}");
        assert_eq!(stored.expires_at, site.clock.now() + HOUR, "{name}: but the session lives on");
        site.clock.advance(SECOND);
        site.store.forget();
        for _ in 0..3 {
            site.send(&new, async |_: Session| ()).await;
        }
        assert_eq!(site.stored(&new.id()).await.unwrap().used_at, site.clock.now(), "{name}");
        assert_eq!(site.store.calls(Operation::Touch), 1, "{name}: one small write");
    }
}

/// The layer renews by itself, so a store that is down or a session that has ended meanwhile does not change the
/// answer.
#[tokio::test]
async fn a_periodic_renewal_that_fails_leaves_the_answer_as_it_is() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        for ends in [false, true] {
            let jar = site.visitor().await;
            site.clock.advance(15 * MINUTE);
            let (events, _kept) = Events::keep();
            let (twin, other) = (site.clone(), jar.clone());
            let reply = site
                .send(&jar, async move |_: Session| {
                    if ends {
                        twin.send(&other, async |session: Session| session.login("ada")).await;
                    } else {
                        twin.store
                            .inject(Fault::error(StoreErrorKind::Timeout).on(Operation::Rename).on(Operation::Create));
                    }
                    "read"
                })
                .await;
            site.store.heal();
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "read"), "{name} {ends}");
            assert!(reply.sets_no_cookie(), "{name} {ends}");
            assert_eq!(events.count(Level::WARN, "was blocked"), 0, "{name} {ends}: nothing was written");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_stepped_back_after_a_renewal_makes_no_reader_write() {
    let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
    let mut jar = site.visitor().await;
    site.clock.advance(3 * MINUTE);
    let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!(reply.cookies().len(), 1);
    site.clock.set(site.clock.now() - HOUR / 2);
    for number in 0..3 {
        site.store.forget();
        let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
        assert_eq!(reply.body, "n", "{number}");
        assert_eq!((site.store.calls(Operation::Load), site.store.total()), (1, 1), "{number}: {:?}", site.store.log());
    }
}

#[tokio::test]
async fn under_the_reject_policy_another_requests_renewal_is_no_conflict_and_its_change_is_one() {
    for changes in [false, true] {
        let site = Site::with(|builder| builder.renew_every(10 * MINUTE).conflict_policy(ConflictPolicy::Reject));
        let jar = site.visitor().await;
        site.clock.advance(11 * MINUTE);
        // The other request's renewal is the periodic one.
        let theirs = move |session: &Session| {
            if changes { session.insert("theirs", 1) } else { session.get::<u8>("n").map(drop) }
        };
        let (reply, newer) = over_a_renewal(&site, &jar, theirs, |session| session.insert("mine", 1)).await;
        let status = if changes { StatusCode::CONFLICT } else { StatusCode::OK };
        assert_eq!(reply.status, status, "{changes}");
        assert!(reply.sets_no_cookie(), "{changes}");
        assert_eq!(site.entry(&newer, "mine").await.is_some(), !changes, "{changes}");
    }
}

#[tokio::test]
async fn a_record_above_a_lowered_limit_can_still_be_renewed() {
    let before = Site::new();
    let mut jar = before.visitor().await;
    before.send(&jar, async |session: Session| session.insert("big", "x".repeat(3_000))).await;
    let site = Site::over(before.store.clone(), before.store.clone(), before.clock.clone(), |builder| {
        builder.max_record_bytes(2_000).renew_every(2 * MINUTE)
    });
    site.clock.advance(3 * MINUTE);
    let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "by the layer");
    let jar = renewed(&site, &jar).await;
    assert_eq!(keys(&site, &jar).await, "big,n");
}
