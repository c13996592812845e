//! Clients that disconnect before they are answered.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{browser::Browser, process::Demo, raw::Held};

/// The answer would take ten seconds.
#[tokio::test]
async fn a_client_that_disconnects_during_its_logout_is_logged_out() {
    let demo = Demo::plain();
    let login = Browser::new(&demo).log_in("ann").await;
    let browser = Browser::with_cookie_of(&demo, &login);
    let mut stream = TcpStream::connect(demo.address).await.unwrap();
    let request = format!(
        "POST /logout?delay_ms=10000 HTTP/1.1\r\nHost: demo\r\nCookie: {}\r\nContent-Length: 0\r\n\r\n",
        login.cookie()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    demo.until("session loaded", 1).await;
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(8);
    while browser.session().await["new"] != true {
        assert!(Instant::now() < deadline, "the session lives on");
    }
    demo.stop();
}

/// The write had not begun when its client disconnected, so it has no effect and delays nobody.
#[tokio::test]
async fn a_client_that_leaves_during_a_slow_write_has_written_nothing() {
    let demo = Demo::plain();
    let login = Browser::new(&demo).log_in("ann").await;
    let browser = Browser::with_cookie_of(&demo, &login);
    let mut slow = Held::put(&demo, &login.cookie(), "/api/entries/slow?delay_ms=2000", "1").await;
    slow.send_body().await;
    drop(slow);
    // This request began later and waits longer: by its end the other one would have written.
    browser.put("/api/entries/other?delay_ms=2200", "1").await.expect(204);
    assert_eq!(browser.session().await["keys"], serde_json::json!(["other", "user"]));
    demo.stop();
}

/// The client disconnects before it has sent its body.
#[tokio::test]
async fn a_client_that_leaves_before_its_body_has_written_nothing() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let cookie = browser.log_in("ann").await.cookie();
    for _ in 0..20 {
        drop(Held::put(&demo, &cookie, "/api/entries/k", "1").await);
    }
    browser.put("/api/entries/other", "1").await.expect(204);
    assert_eq!(browser.session().await["keys"], serde_json::json!(["other", "user"]));
    demo.stop();
}
