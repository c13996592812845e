//! `/api/entries/{key}`, `/api/counters/{key}` and `/api/fail`.

use reqwest::Method;
use serde_json::json;

use crate::{browser::Browser, process::Demo};

#[tokio::test]
async fn an_entry_is_written_read_and_removed() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    browser.get("/api/entries/colour").await.no_cookie().error(404);
    browser.delete("/api/entries/colour").await.expect(204).no_cookie();
    for value in [json!("green"), json!(null), json!({"b": [1, 2.5], "a": {}}), json!(18_446_744_073_709_551_615_u64)] {
        let answer = browser.put("/api/entries/colour?delay_ms=1", value.to_string()).await.expect(204);
        assert_eq!(answer.body, "");
        assert_eq!(browser.entry("colour").await, value);
    }
    browser.delete("/api/entries/colour?delay_ms=1").await.expect(204);
    browser.get("/api/entries/colour").await.error(404);
    assert_eq!(browser.session().await["keys"], json!([]));
}

#[tokio::test]
async fn keys_are_any_text_of_1_to_255_bytes() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let longest = "k".repeat(255);
    for (path, key) in [("a%2Fb%20c", "a/b c"), ("%E2%82%AC", "€"), ("..%2F..", "../.."), (&longest, &longest)] {
        browser.put(&format!("/api/entries/{path}"), "1").await.expect(204);
        assert_eq!(browser.entry(path).await, 1);
        let keys = browser.session().await["keys"].clone();
        assert!(keys.as_array().unwrap().contains(&json!(key)), "{keys}");
    }
    for path in ["", &"k".repeat(256), &"%E2%82%AC".repeat(86), "%FF"] {
        for (method, what) in [(Method::GET, "entries"), (Method::PUT, "entries"), (Method::POST, "counters")] {
            let answer = browser.ask(method.clone(), &format!("/api/{what}/{path}")).await;
            assert!(!answer.error(400).is_empty(), "{method} {what} {path}");
        }
    }
}

#[tokio::test]
async fn a_counter_counts() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for number in 1..=3 {
        assert_eq!(browser.post("/api/counters/n?delay_ms=1").await.expect(200).json(), number);
    }
    assert_eq!(browser.entry("n").await, 3);
    browser.put("/api/entries/n", "-2").await.expect(204);
    assert_eq!(browser.post("/api/counters/n").await.expect(200).json(), -1);
    browser.put("/api/entries/n", i64::MAX.to_string()).await.expect(204);
    assert_eq!(browser.post("/api/counters/n").await.expect(200).json(), i64::MAX);
    // A value that is not a number stays as it is.
    browser.put("/api/entries/n", "\"three\"").await.expect(204);
    browser.post("/api/counters/n").await.error(409);
    assert_eq!(browser.entry("n").await, "three");
}

#[tokio::test]
async fn a_read_and_an_equal_write_set_no_cookie() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    assert!(browser.put("/api/entries/k", r#"{"a":1,"b":2}"#).await.expect(204).sets_cookie());
    let before = browser.session().await;
    browser.put("/api/entries/k", r#"{ "b": 2, "a": 1 }"#).await.expect(204).no_cookie();
    browser.get("/api/entries/k").await.expect(200).no_cookie();
    browser.delete("/api/entries/none").await.expect(204).no_cookie();
    // Nor do they write: a write would be a use and move the expiry.
    assert_eq!(browser.session().await, before);
}

#[tokio::test]
async fn the_shops_own_keys_are_forbidden_however_they_are_written() {
    let demo = Demo::plain();
    let anonymous = Browser::new(&demo);
    let known = Browser::new(&demo);
    known.log_in("ann").await;
    for browser in [anonymous, known] {
        let before = browser.session().await;
        for key in ["user", "cart", "visits", "us%65r", "%63%61%72%74"] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let answer = browser.ask(method, &format!("/api/entries/{key}")).await.no_cookie();
                assert!(answer.error(403).contains("the shop's own"));
            }
            browser.put(&format!("/api/entries/{key}"), "\"root\"").await.no_cookie().error(403);
            browser.post(&format!("/api/counters/{key}")).await.no_cookie().error(403);
        }
        assert_eq!(browser.session().await, before);
    }
}

#[tokio::test]
async fn a_5xx_drops_changes_and_a_4xx_keeps_them() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for status in [500, 503, 599] {
        assert_eq!(browser.get(&format!("/api/fail?status={status}")).await.no_cookie().error(status), "as you wish");
        browser.get("/api/entries/failed").await.error(404);
    }
    let answer = browser.get("/api/fail?status=404").await;
    assert!(answer.sets_cookie());
    answer.error(404);
    assert_eq!(browser.entry("failed").await, true);
    browser.delete("/api/entries/failed").await.expect(204);
    for status in [200, 204, 302, 418] {
        browser.get(&format!("/api/fail?status={status}")).await.expect(status);
        assert_eq!(browser.entry("failed").await, true);
        browser.delete("/api/entries/failed").await.expect(204);
    }
    for query in ["", "?status=", "?status=99", "?status=100", "?status=600", "?status=70000", "?status=x"] {
        assert!(!browser.get(&format!("/api/fail{query}")).await.error(400).is_empty());
    }
    assert_eq!(browser.session().await["keys"], json!([]));
}
