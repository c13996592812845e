//! Both limits, throttled touches, presets, and the cookie's own expiry.

use std::time::Duration;

use http::StatusCode;
use session_layer::{Lifetime, SavePolicy, Session, conformance::Operation};

use crate::support::*;

async fn is_live(site: &Site, jar: &Jar) -> bool {
    let reply = site.send(jar, async |session: Option<Session>| session.is_some().to_string()).await;
    assert_eq!(reply.status, StatusCode::OK);
    reply.body == "true"
}

/// Exact to the millisecond.
#[tokio::test]
async fn the_idle_limit_ends_a_session_and_use_extends_it() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(HOUR - Duration::from_millis(1));
    assert!(is_live(&site, &jar).await);
    site.clock.advance(HOUR - Duration::from_millis(1));
    assert!(is_live(&site, &jar).await, "it was touched");
    site.clock.advance(HOUR);
    assert!(!is_live(&site, &jar).await, "now >= the limit is expired");
}

/// However often the session is used.
#[tokio::test]
async fn the_absolute_limit_ends_a_session_in_use() {
    let site = Site::new();
    let jar = site.visitor().await;
    for _ in 0..47 {
        site.clock.advance(30 * MINUTE);
        assert!(is_live(&site, &jar).await);
    }
    site.clock.advance(30 * MINUTE - Duration::from_millis(1));
    assert!(is_live(&site, &jar).await);
    site.clock.advance(Duration::from_millis(1));
    assert!(!is_live(&site, &jar).await, "a day has passed");
}

#[tokio::test]
async fn writing_extends_a_session_but_not_past_the_absolute_limit() {
    let site = Site::new();
    let jar = site.visitor().await;
    for i in 0..47 {
        site.clock.advance(30 * MINUTE);
        site.send(&jar, async move |session: Session| session.insert("n", i + 2)).await;
    }
    assert_eq!(site.store.calls(Operation::Touch), 0, "an update moves the expiry by itself");
    site.clock.advance(30 * MINUTE);
    assert!(!is_live(&site, &jar).await);
}

#[tokio::test]
async fn a_touch_is_due_after_a_tenth_of_the_idle_time() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(6 * MINUTE - Duration::from_millis(1));
    assert!(is_live(&site, &jar).await);
    assert_eq!(site.store.calls(Operation::Touch), 0);
    site.clock.advance(Duration::from_millis(1));
    assert!(is_live(&site, &jar).await);
    assert_eq!(site.store.calls(Operation::Touch), 1);
    assert!(is_live(&site, &jar).await);
    assert_eq!(site.store.calls(Operation::Touch), 1, "not again at once");
    let stored = site.stored(&jar.id()).await.unwrap();
    assert_eq!((stored.used_at, stored.expires_at), (site.clock.now(), site.clock.now() + HOUR));
    for (part, touches) in [(0.0, 2), (1.0, 0)] {
        let site = Site::with(|builder| builder.touch_fraction(part));
        let jar = site.visitor().await;
        for _ in 0..2 {
            site.clock.advance(MINUTE);
            assert!(is_live(&site, &jar).await);
        }
        assert_eq!(site.store.calls(Operation::Touch), touches, "{part}");
    }
}

#[tokio::test]
async fn a_touch_sets_no_cookie_and_varies_by_cookie() {
    let site = Site::with(|builder| builder.lifetime(Lifetime::default().persistent()));
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let reply = site.send(&jar, async |_: Session| "page").await;
    assert_eq!(site.store.calls(Operation::Touch), 1);
    assert!(reply.sets_no_cookie());
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("cache-control"), "private");
}

#[tokio::test]
async fn a_polling_request_can_skip_the_touch() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    site.send(&jar, async |session: Session| session.skip_touch()).await;
    assert_eq!(site.store.calls(Operation::Touch), 0);
    site.clock.advance(30 * MINUTE);
    assert!(!is_live(&site, &jar).await, "polling was no use");
}

#[tokio::test]
async fn the_presets_are_stored_in_the_record() {
    for lifetime in [Lifetime::aal1(), Lifetime::aal2(), Lifetime::aal3()] {
        let site = Site::with(|builder| builder.lifetime(lifetime));
        let jar = site.visitor().await;
        let stored = site.stored(&jar.id()).await.unwrap();
        assert_eq!(stored.record.lifetime(), lifetime);
        assert_eq!(stored.expires_at, site.clock.now() + lifetime.idle().min(lifetime.absolute()));
        site.clock.advance(lifetime.idle());
        assert!(!is_live(&site, &jar).await);
    }
}

/// At most 400 days (RFC 6265bis, section 5.5).
#[tokio::test]
async fn a_persistent_cookie_lasts_for_the_time_left_to_the_absolute_limit() {
    let years = Lifetime::new(HOUR, 24 * HOUR * 800).unwrap().persistent();
    for (lifetime, age) in [(Lifetime::aal2().persistent(), 86_400), (years, 400 * 86_400)] {
        let site = Site::with(|builder| builder.lifetime(lifetime));
        let mut jar = site.jar();
        let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 1)).await;
        assert!(reply.cookies()[0].ends_with(&format!("; Max-Age={age}")), "{:?}", reply.cookies());
    }
    let site = Site::with(|builder| builder.lifetime(Lifetime::aal2().persistent()));
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let reply = site.send(&jar, async |session: Session| session.renew()).await;
    assert!(reply.cookies()[0].ends_with("; Max-Age=84600"), "a renewal keeps the absolute clock");
    let site = Site::new();
    let reply = site.send(&site.jar(), async |session: Session| session.insert("n", 1)).await;
    assert!(!reply.cookies()[0].contains("Max-Age"), "a browser cookie");
}

#[tokio::test]
async fn a_session_can_have_its_own_lifetime() {
    let site = Site::new();
    let mut jar = site.jar();
    let remember = Lifetime::new(30 * 24 * HOUR, 90 * 24 * HOUR).unwrap().persistent();
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.login("ada")?;
            session.set_lifetime(remember)
        })
        .await;
    assert!(reply.cookies()[0].ends_with(&format!("; Max-Age={}", 90 * 86_400)));
    site.clock.advance(29 * 24 * HOUR);
    assert!(is_live(&site, &jar).await);
    // A changed lifetime is written even if nothing else changed, and moves the expiry.
    let short = Lifetime::new(MINUTE, 90 * 24 * HOUR).unwrap();
    site.send(&jar, async move |session: Session| session.set_lifetime(short)).await;
    site.clock.advance(MINUTE);
    assert!(!is_live(&site, &jar).await);
}

/// If the lifetime grows after the login, the owner's epoch is extended to last as long as the session.
#[tokio::test]
async fn a_longer_lifetime_extends_the_owners_epoch() {
    let site = Site::new();
    let jar = site.member("ada").await;
    let long = Lifetime::new(30 * 24 * HOUR, 90 * 24 * HOUR).unwrap();
    site.send(&jar, async move |session: Session| session.set_lifetime(long)).await;
    for _ in 0..4 {
        site.clock.advance(20 * 24 * HOUR);
        let reply = site.send(&jar, async |session: Session| format!("{:?}", session.owner())).await;
        assert_eq!(reply.body, "Some(\"ada\")", "it was taken for revoked");
    }
}

#[tokio::test]
async fn the_always_policy_saves_every_extracted_session_and_no_others() {
    let site = Site::with(|builder| builder.save_policy(SavePolicy::Always));
    let jar = site.visitor().await;
    site.clock.advance(MINUTE);
    site.send(&jar, async |_: Session| "page").await;
    assert_eq!(site.store.calls(Operation::Update), 1);
    assert_eq!(site.stored(&jar.id()).await.unwrap().used_at, site.clock.now());
    site.send(&jar, async || "page").await;
    site.send(&site.jar(), async |_: Session| "page").await;
    site.send(&jar, async |_: Session| StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(site.store.calls(Operation::Update), 1);
    assert_eq!(site.store.calls(Operation::Create), 0);
}

#[tokio::test]
async fn a_session_reports_its_times() {
    let site = Site::new();
    let jar = site.member("ada").await;
    let (start, id) = (site.clock.now(), jar.id());
    site.clock.advance(MINUTE);
    let reply = site
        .send(&jar, async move |session: Session| {
            assert_eq!(session.id(), Some(id));
            assert!(!session.is_new());
            assert_eq!(session.created_at(), Some(start));
            assert_eq!(session.last_used_at(), Some(start));
            assert_eq!(session.expires_at(), Some(start + HOUR));
            assert_eq!(session.lifetime(), Lifetime::aal2());
            assert_eq!(session.owner().as_deref(), Some("ada"));
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
}
