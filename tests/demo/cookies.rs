//! The cookie as clients see it.

use std::{fs, path::Path};

use reqwest::Method;

use crate::{browser::Browser, process::Demo};

#[tokio::test]
async fn the_cookie_is_strict_by_default_and_returns_from_a_client() {
    let demo = Demo::start(&[]);
    let browser = Browser::new(&demo);
    let answer = browser.log_in("ann").await;
    let set = answer.header("set-cookie").unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-sid="), "{set}");
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    // A real client, which treats the loopback address as secure, returns the cookie; then the same by hand.
    assert_eq!(browser.session().await["user"], "ann");
    let by_hand = Browser::with_cookie_of(&demo, &answer);
    assert_eq!(by_hand.session().await["user"], "ann");
    // Without the prefix it is another cookie.
    let bare = Browser::with_cookie(&demo, pair.strip_prefix("__Host-").unwrap());
    assert_eq!(bare.session().await["new"], true);
    demo.stop();
}

#[tokio::test]
async fn plain_http_drops_secure_and_the_prefix() {
    let demo = Demo::plain();
    let answer = Browser::new(&demo).log_in("ann").await;
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("sid=") && !set.contains("Secure") && set.contains("HttpOnly"), "{set}");
}

/// A browser on another machine would drop the cookie. The log says so, once.
#[tokio::test]
async fn a_secure_cookie_over_plain_http_on_another_host_causes_one_warning() {
    let host = [("host", "192.168.1.7:3000"), ("content-type", "application/x-www-form-urlencoded")];
    for (demo, warnings) in [(Demo::start(&[]), 1), (Demo::plain(), 0)] {
        for _ in 0..2 {
            let browser = Browser::new(&demo);
            browser.log_in("ann").await;
            browser.ask_with(Method::PUT, "/api/entries/k", &host).await;
            Browser::new(&demo).ask_with(Method::POST, "/api/counters/n", &host).await.expect(200);
        }
        assert_eq!(demo.log().matches("created over plain HTTP").count(), warnings);
        demo.stop();
    }
}

#[tokio::test]
async fn visitors_who_only_read_leave_no_record_and_get_no_cookie() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(&["--plain-http", "--store", &format!("file:{}", dir.path().display())]);
    let browser = Browser::new(&demo);
    let before = files(dir.path());
    for _ in 0..10 {
        for path in ["/", "/api/session", "/api/entries/k", "/api/untouched", "/healthz", "/nowhere"] {
            browser.get(path).await.no_cookie();
        }
        browser.delete("/api/entries/k").await.expect(204).no_cookie();
        browser.post("/logout").await.expect(303).no_cookie();
    }
    assert_eq!(files(dir.path()), before);
    browser.put("/api/entries/k", "1").await.expect(204);
    assert!(files(dir.path()) > before, "a written session is a file");
    demo.stop();
}

fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_not_adopted() {
    let demo = Demo::plain();
    let issued = Browser::new(&demo).log_in("ann").await.cookie();
    // Well-formed: an issued token with its characters reversed.
    let planted: String = ["sid=".to_owned(), issued[4..].chars().rev().collect()].concat();
    let browser = Browser::with_cookie(&demo, &planted);
    browser.get("/").await.expect(200).no_cookie();
    let written = browser.put("/api/entries/k", "1").await.expect(204);
    assert_ne!(written.cookie(), planted);
    assert_eq!(browser.session().await["new"], true);
    let login = browser.log_in("bob").await;
    assert_ne!(login.cookie(), planted);
    assert_eq!(browser.session().await["new"], true);
    assert_eq!(Browser::with_cookie_of(&demo, &login).session().await["user"], "bob");
}

/// A remembered login's cookie lives as long as its session, 30 days.
#[tokio::test]
async fn remember_me_is_a_cookie_of_30_days() {
    const MONTH: i64 = 30 * 24 * 60 * 60;
    let demo = Demo::start(&["--plain-http", "--idle", "60", "--absolute", "120"]);
    let browser = Browser::new(&demo);
    let answer = browser.form("/login", &[("user", "ann"), ("remember", "on")]).await.expect(303);
    let set = answer.header("set-cookie").unwrap();
    let max_age: i64 = set.split_once("Max-Age=").unwrap().1.split(';').next().unwrap().parse().unwrap();
    assert!((MONTH - 60..=MONTH).contains(&max_age), "{set}");
    assert_eq!(browser.session().await["user"], "ann");
    let page = browser.get("/").await.expect(200);
    assert!(page.body.contains("30 days without use, 30 days in all"));
    // The next login without the flag returns to the default.
    let answer = browser.log_in("ann").await;
    assert!(!answer.header("set-cookie").unwrap().contains("Max-Age"));
    let page = browser.get("/").await.expect(200);
    assert!(page.body.contains("1 minute without use, 2 minutes in all"));
}
