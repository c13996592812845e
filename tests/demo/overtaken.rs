//! Slow requests that a logout or a login overtakes.

use serde_json::{Value, json};

use crate::{browser::Browser, process::Demo, raw::Held};

#[tokio::test]
async fn a_slow_write_does_not_revive_a_logged_out_session() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let login = browser.log_in("ann").await;
    let old = Browser::with_cookie_of(&demo, &login);
    let slow = Held::put(&demo, &login.cookie(), "/api/entries/k?delay_ms=20", "1").await;
    browser.post("/logout").await.expect(303);
    // The answer is the same as if the write had come before the logout, without a cookie.
    let answer = slow.finish().await;
    assert!(answer.starts_with("http/1.1 204 ") && !answer.contains("set-cookie"), "{answer}");
    let session = old.get("/api/session").await.expect(200).no_cookie().json();
    assert_eq!((&session["new"], &session["user"], &session["keys"]), (&json!(true), &Value::Null, &json!([])));
    assert!(demo.log().contains("write to a session that is gone was blocked"), "it is an event");
    demo.stop();
}

/// A count, which is replayed, and a removal.
#[tokio::test]
async fn slow_counts_and_removals_do_not_revive_a_logged_out_session() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let login = browser.log_in("ann").await;
    browser.put("/api/entries/k", "1").await.expect(204);
    let old = Browser::with_cookie_of(&demo, &login);
    let before = demo.log().matches("session loaded").count();
    let (count, remove) = (old.clone(), old.clone());
    let (counted, removed, _) =
        tokio::join!(count.post("/api/counters/n?delay_ms=500"), remove.delete("/api/entries/k?delay_ms=500"), async {
            demo.until("session loaded", before + 2).await;
            browser.post("/logout").await.expect(303)
        },);
    counted.expect(200).no_cookie();
    removed.expect(204).no_cookie();
    assert_eq!(old.session().await["new"], true);
    demo.stop();
}

/// The answer does not replace the login's cookie.
#[tokio::test]
async fn a_slow_write_overtaken_by_a_login_is_refused() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let anonymous = browser.put("/api/entries/k", "1").await.expect(204).cookie();
    let slow = Held::put(&demo, &anonymous, "/api/entries/k", "2").await;
    browser.log_in("ann").await;
    let answer = slow.finish().await;
    assert!(answer.starts_with("http/1.1 409 ") && !answer.contains("set-cookie"), "{answer}");
    assert!(answer.contains(r#"{"error":"#), "{answer}");
    assert_eq!(browser.entry("k").await, 1);
    assert_eq!(browser.session().await["user"], "ann");
    demo.stop();
}

/// A late logout with the anonymous session's cookie does not end the login that came meanwhile.
#[tokio::test]
async fn a_late_logout_of_the_old_session_leaves_the_new_one() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let old = Browser::with_cookie_of(&demo, &browser.log_in("ann").await);
    browser.log_in("ann").await;
    old.post("/logout").await.no_cookie().error(409);
    assert_eq!(browser.session().await["user"], "ann");
}
