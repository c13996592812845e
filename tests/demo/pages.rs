//! `GET /`, `GET /healthz`, and pages that use no session.

use crate::{browser::Browser, process::Demo};

#[tokio::test]
async fn the_page_counts_visits_of_users_with_a_session() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for _ in 0..3 {
        let page = browser.get("/").await.expect(200).no_cookie();
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.contains("Nobody is signed in"));
    }
    assert_eq!(browser.session().await["visits"], 0);
    browser.log_in("ann").await;
    for visits in 1..=3 {
        let page = browser.get("/").await.expect(200).no_cookie();
        assert!(page.body.contains("Signed in as <strong id=\"user\">ann</strong>"));
        assert_eq!(browser.session().await["visits"], visits);
    }
    demo.stop();
}

#[tokio::test]
async fn visitors_input_is_shown_as_text() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    browser.log_in("<script>alert(1)</script>").await;
    browser.form("/cart", &[("sku", "\"><img src=x>"), ("qty", "2")]).await.expect(303);
    let page = browser.get("/").await.expect(200);
    assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.body.contains("<script>alert(1)") && !page.body.contains("<img"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
}

/// Responses that depend on the session have the headers; the others don't.
#[tokio::test]
async fn session_dependent_pages_set_vary_and_cache_control() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for path in ["/", "/api/session", "/api/entries/none", "/api/fail?status=500"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.header("vary"), answer.header("cache-control")),
            (Some("Cookie"), Some("private")),
            "{path}"
        );
    }
    for path in ["/api/untouched", "/healthz", "/nowhere"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None), "{path}");
    }
    let answer = browser.log_in("ann").await;
    assert_eq!((answer.header("vary"), answer.header("cache-control")), (Some("Cookie"), Some("no-store")));
    let answer = browser.post("/logout").await;
    assert_eq!((answer.header("vary"), answer.header("cache-control")), (Some("Cookie"), Some("no-store")));
}

#[tokio::test]
async fn health_and_the_untouched_answer_without_a_session() {
    let demo = Demo::plain();
    let browser = Browser::with_cookie_of(&demo, &Browser::new(&demo).log_in("ann").await);
    let before = demo.log().matches("session_layer").count();
    assert_eq!(browser.get("/healthz").await.expect(200).body, "ok");
    browser.get("/api/untouched").await.expect(200).no_cookie().json();
    let log = demo.log();
    assert_eq!(log.matches("session_layer").count(), before, "the store was asked:\n{log}");
    // A control: a page that uses the session logs a load, so the assertion above can fail.
    browser.get("/api/session").await.expect(200);
    assert!(demo.log().matches("session_layer").count() > before);
}
