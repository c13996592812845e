//! The session's cookie in a browser.

use serde_json::json;
use time::OffsetDateTime;

use crate::{driver::Browser, process::Demo};

#[tokio::test]
async fn the_default_cookie_is_host_only_hidden_from_scripts_and_new_at_each_login() {
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    // Browsing sets no cookie.
    browser.go("/").await;
    assert!(browser.cookies().await.is_empty());
    browser.follow(".good:first-child form button").await;
    let anonymous = browser.cookie().await;
    assert_eq!(anonymous["name"], "__Host-sid");
    assert_eq!(anonymous["secure"], true);
    assert_eq!(anonymous["httpOnly"], true);
    assert_eq!(anonymous["sameSite"], "Lax");
    assert_eq!(anonymous["path"], "/");
    // Only for this host: a domain cookie would begin with a dot.
    assert_eq!(anonymous["domain"], "localhost");
    assert_eq!(anonymous.get("expiry"), None, "it goes with the browser");
    // No script can read or replace it.
    assert_eq!(browser.run("return document.cookie").await, "");
    browser.run("document.cookie = '__Host-sid=planted; Secure; Path=/'").await;
    assert_eq!(browser.cookie().await, anonymous);
    // Each login changes the value and nothing else.
    let mut before = anonymous;
    for _ in 0..2 {
        browser.log_in("ann").await;
        let mut after = browser.cookie().await;
        assert_ne!(after["value"], before["value"]);
        before["value"] = after["value"].take();
        after["value"] = before["value"].clone();
        assert_eq!(after, before);
    }
    assert_eq!(browser.text(".badge").await.as_deref(), Some("1 in the cart"), "the cart came along");
    browser.follow("form[action='/logout'] button").await;
    assert!(browser.cookies().await.is_empty());
    assert_eq!(browser.text("#user").await, None);
    demo.stop();
}

#[tokio::test]
async fn a_remembered_login_outlives_the_browser() {
    const MONTH: i64 = 30 * 24 * 60 * 60;
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    browser.go("/").await;
    browser.fill("input[name=user]", "ann").await;
    browser.click("input[name=remember]").await;
    let begin = OffsetDateTime::now_utc().unix_timestamp();
    browser.follow("form[action='/login'] button").await;
    let expiry = browser.cookie().await["expiry"].as_i64().unwrap();
    let end = OffsetDateTime::now_utc().unix_timestamp();
    assert!((begin + MONTH - 1..=end + MONTH + 1).contains(&expiry), "{begin} {expiry} {end}");
    browser.follow("form[action='/logout'] button").await;
    assert!(browser.cookies().await.is_empty(), "a persistent one goes as well");
    demo.stop();
}

#[tokio::test]
async fn over_plain_http_the_cookie_has_no_prefix() {
    let demo = Demo::plain();
    let [browser] = Browser::open(&demo).await;
    browser.log_in("ann").await;
    let cookie = browser.cookie().await;
    assert_eq!(
        (&cookie["name"], &cookie["secure"], &cookie["httpOnly"], &cookie["sameSite"]),
        (&json!("sid"), &json!(false), &json!(true), &json!("Lax"))
    );
    assert_eq!(browser.run("return document.cookie").await, "");
    browser.follow("form[action='/logout'] button").await;
    assert!(browser.cookies().await.is_empty());
    demo.stop();
}

/// SameSite: a form on another site posts without the cookie, and is also refused; a link sends it.
#[tokio::test]
async fn another_site_can_not_end_or_replace_a_session() {
    let demo = Demo::start(&[]);
    let [browser] = Browser::open(&demo).await;
    browser.log_in("ann").await;
    let cookie = browser.cookie().await;
    // Adding to the cart needs no login. Accepted from another site, it would set the cookie of a new session over the
    // login's.
    for path in ["/logout", "/devices/end-others", "/cart", "/login"] {
        let form = format!(
            "data:text/html,<form method=post action='{}'><input name=sku value=x><input name=qty value=1>\
             <input name=user value=eve><button>Win a prize</button></form>",
            browser.url(path)
        );
        browser.go(&form).await;
        browser.follow("button").await;
        assert_eq!(browser.path().await, path);
        let answer = browser.text("body").await.unwrap();
        assert!(answer.contains("a page of another site asked for this"), "{path}: {answer}");
        assert_eq!(browser.cookie().await, cookie, "{path}");
    }
    browser.go(&format!("data:text/html,<a href='{}'>Tea</a>", browser.url("/"))).await;
    browser.follow("a").await;
    assert_eq!(browser.text("#user").await.as_deref(), Some("ann"));
    assert_eq!(browser.cookie().await, cookie);
    demo.stop();
}

/// A second cookie of the same name on another path, as another application or an attacker would set it.
#[tokio::test]
async fn a_browser_with_two_live_cookies_drops_both_and_its_visitor_signs_in_again() {
    let demo = Demo::plain();
    let [browser, other] = Browser::open(&demo).await;
    other.log_in("bob").await;
    let value = other.cookie().await["value"].as_str().unwrap().to_owned();
    browser.log_in("ann").await;
    browser.run(&format!("document.cookie = 'sid={value}; Path=/api'")).await;
    browser.go("/api/session").await;
    let page = browser.text("body").await.unwrap();
    assert!(page.contains("two session cookies"), "{page}");
    assert!(browser.cookies().await.is_empty());
    browser.go("/api/session").await;
    assert!(browser.text("body").await.unwrap().contains("null"));
    browser.log_in("ann").await;
    // The other session was not ended.
    other.go("/").await;
    assert_eq!(other.text("#user").await.as_deref(), Some("bob"));
    demo.stop();
}
