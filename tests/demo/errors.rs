//! Errors are JSON with their status and reveal nothing internal.

use reqwest::Method;

use crate::{browser::Browser, process::Demo, raw};

#[tokio::test]
async fn unknown_paths_and_methods_are_json_errors() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    assert_eq!(browser.get("/nowhere").await.error(404), "there is no /nowhere");
    let answer = browser.ask(Method::DELETE, "/login").await;
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.error(405), "/login does not take DELETE");
    browser.ask(Method::PATCH, "/api/entries/k").await.error(405);
    browser.get("/api/counters/k").await.error(405);
}

#[tokio::test]
async fn malformed_requests_are_json_errors() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let deep = "[".repeat(100_000);
    for body in ["", "{", "{'a': 1}", "1 2", "\u{0}", "NaN", &deep] {
        browser.put("/api/entries/k", body).await.no_cookie().error(400);
    }
    for delay in ["10001", "-1", "x", "99999999999999999999", ""] {
        browser.put(&format!("/api/entries/k?delay_ms={delay}"), "1").await.no_cookie().error(400);
        browser.post(&format!("/api/counters/k?delay_ms={delay}")).await.no_cookie().error(400);
        browser.delete(&format!("/api/entries/k?delay_ms={delay}")).await.no_cookie().error(400);
    }
    assert_eq!(browser.session().await["new"], true);
}

#[tokio::test]
async fn oversized_requests_are_json_errors() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    browser.put("/api/entries/k", "1").await.expect(204);
    let record = format!("\"{}\"", "x".repeat(130 * 1024));
    assert_eq!(browser.put("/api/entries/large", record).await.error(413), "the session has no room for this");
    // By hand: the server may answer before the client has sent everything.
    let body = "x".repeat(300 * 1024);
    let request = format!(
        "PUT /api/entries/large HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw::exchange(&demo, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(browser.session().await["keys"], serde_json::json!(["k"]));
}

/// A request with the cookie from before a login can't write, and gets no other session.
#[tokio::test]
async fn a_write_with_a_superseded_cookie_is_a_conflict() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let old = Browser::with_cookie_of(&demo, &browser.put("/api/entries/k", "1").await.expect(204));
    browser.log_in("ann").await;
    old.get("/").await.expect(200).no_cookie();
    old.put("/api/entries/k", "2").await.no_cookie().error(409);
    old.post("/api/counters/k").await.no_cookie().error(409);
    old.form("/cart", &[("sku", "sencha"), ("qty", "1")]).await.no_cookie().error(409);
    assert_eq!(browser.entry("k").await, 1);
    // A second login with it succeeds, in a separate session.
    let again = Browser::with_cookie_of(&demo, &old.log_in("bob").await);
    assert_eq!(again.session().await["user"], "bob");
    assert_eq!(browser.session().await["user"], "ann");
}

/// The server can't know which of two live sessions is meant.
#[tokio::test]
async fn two_live_sessions_are_a_bad_request() {
    let demo = Demo::plain();
    let (ann, bob) =
        (Browser::new(&demo).log_in("ann").await.cookie(), Browser::new(&demo).log_in("bob").await.cookie());
    let both = Browser::with_cookie(&demo, &format!("{ann}; {bob}"));
    for answer in [both.get("/api/session").await, both.put("/api/entries/k", "1").await] {
        // The answer removes every cookie of this name, and the sessions stay.
        let lines: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
        assert!(lines.len() > 1 && lines.iter().all(|line| line.starts_with("sid=; ") && line.contains("; Max-Age=0")));
        answer.error(400);
    }
    // A dead cookie does not shadow a live one.
    Browser::with_cookie(&demo, &bob).post("/logout").await.expect(303);
    assert_eq!(both.session().await["user"], "ann");
    // A logout works with two live sessions.
    let cat = Browser::new(&demo).log_in("cat").await.cookie();
    let both = Browser::with_cookie(&demo, &format!("{ann}; {cat}"));
    both.get("/api/session").await.error(400);
    both.post("/logout").await.expect(303);
    for cookie in [ann, cat] {
        assert_eq!(Browser::with_cookie(&demo, &cookie).session().await["user"], serde_json::Value::Null);
    }
}

/// Nothing listens on port 9.
#[tokio::test]
async fn an_unreachable_store_is_503_and_no_empty_session() {
    let demo = Demo::start(&["--plain-http", "--store", "memcached://127.0.0.1:9"]);
    let token = "0123456789abcdefghijklmnopqrstuv";
    let known = Browser::with_cookie(&demo, &format!("sid={token}"));
    for path in ["/", "/api/session", "/api/entries/k", "/api/fail?status=404"] {
        assert_eq!(known.get(path).await.no_cookie().error(503), "the session is not available now: try again later");
    }
    known.log_in_fails().await;
    // Without a cookie nothing is loaded, but the failing save is an error as well.
    let new = Browser::new(&demo);
    new.get("/").await.expect(200);
    let message = "the session is not available now: try again later";
    assert_eq!(new.put("/api/entries/k", "1").await.no_cookie().error(503), message);
    assert_eq!(new.form("/login", &[("user", "ann")]).await.no_cookie().error(503), message);
    known.get("/healthz").await.expect(200);
    known.get("/api/untouched").await.expect(200);
    assert!(!demo.log().contains(token));
    demo.stop();
}

impl Browser {
    async fn log_in_fails(&self) {
        self.form("/login", &[("user", "ann")]).await.no_cookie().error(503);
        self.post("/logout").await.no_cookie().error(503);
    }
}
