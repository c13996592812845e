//! Expiry by the server's clock. `delay_ms` makes a request wait.

use crate::{browser::Browser, process::Demo};

/// A session expires while a request is under way. The request's write does not bring it back.
#[tokio::test]
async fn a_session_that_expires_during_a_write_stays_gone() {
    let expires = async |limit| {
        let demo = Demo::start(&["--plain-http", limit, "2"]);
        let browser = Browser::new(&demo);
        let old = Browser::with_cookie_of(&demo, &browser.log_in("ann").await);
        assert_eq!(old.session().await["user"], "ann");
        old.put("/api/entries/k?delay_ms=2100", "1").await.expect(204).no_cookie();
        assert_eq!(old.session().await["new"], true, "{limit}");
        demo.stop();
    };
    tokio::join!(expires("--idle"), expires("--absolute"));
}

/// A read moves the idle limit once a tenth of it has passed, and sets no cookie.
#[tokio::test]
async fn a_read_extends_the_session_after_a_tenth_of_the_idle_time() {
    let demo = Demo::start(&["--plain-http", "--idle", "6"]);
    let browser = Browser::new(&demo);
    browser.log_in("ann").await;
    let first = browser.session().await;
    // It removes nothing, so it only reads, and it ends when the tenth has passed.
    browser.delete("/api/entries/none?delay_ms=700").await.expect(204).no_cookie();
    let second = browser.session().await;
    let text = |session: &serde_json::Value, field: &str| session[field].as_str().unwrap().to_owned();
    assert!(text(&second, "expires_at") > text(&first, "expires_at"), "{first} {second}");
    assert!(text(&second, "last_used_at") > text(&first, "last_used_at"));
    assert_eq!(text(&second, "created_at"), text(&first, "created_at"));
    demo.stop();
}
