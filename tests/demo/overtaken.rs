//! Slow requests that something final overtakes.

use serde_json::{Value, json};

use crate::{browser::Browser, process::Demo, raw::Held};

/// K1, V4: a slow request's save does not bring a logged-out session back.
#[tokio::test]
async fn k1_v4_a_write_that_a_logout_overtakes_leaves_the_cookie_dead() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let login = browser.log_in("ann").await;
    let old = Browser::with_cookie_of(&demo, &login);
    let slow = Held::put(&demo, &login.cookie(), "/api/entries/k?delay_ms=20", "1").await;
    browser.post("/logout").await.expect(303);
    // As if the write had come before the end: its answer, and no cookie.
    let answer = slow.finish().await;
    assert!(answer.starts_with("http/1.1 204 ") && !answer.contains("set-cookie"), "{answer}");
    let session = old.get("/api/session").await.expect(200).no_cookie().json();
    assert_eq!((&session["new"], &session["user"], &session["keys"]), (&json!(true), &Value::Null, &json!([])));
    assert!(demo.log().contains("write to a session that is gone was blocked"), "V14: it is an event");
    demo.stop();
}

/// The same with a count, which is replayed, and with a removal.
#[tokio::test]
async fn k1_counts_and_removals_do_not_bring_it_back_either() {
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

/// K21, promise 10: a write that a login overtakes is refused, and its answer does not replace the login's cookie.
#[tokio::test]
async fn k21_a_write_that_a_login_overtakes_is_refused() {
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

/// Promise 10: a late answer to an anonymous request does not log out whoever logged in meanwhile.
#[tokio::test]
async fn a_late_logout_of_the_old_session_leaves_the_new_one() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let old = Browser::with_cookie_of(&demo, &browser.log_in("ann").await);
    browser.log_in("ann").await;
    old.post("/logout").await.no_cookie().error(409);
    assert_eq!(browser.session().await["user"], "ann");
}
