//! Requests that pages of other sites make in a visitor's browser.

use reqwest::Method;

use crate::{browser::Browser, process::Demo};

#[tokio::test]
async fn requests_from_other_origins_change_nothing() {
    let demo = Demo::plain();
    let own = demo.address.to_string();
    let ann = Browser::with_cookie_of(&demo, &Browser::new(&demo).log_in("ann").await);
    let same = format!("http://{own}");
    let other_port = format!("http://127.0.0.1:{}", demo.address.port() ^ 1);
    let foreign: [&[(&str, &str)]; 7] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "nonsense"), ("origin", &same)],
        &[("origin", "null")],
        &[("origin", "https://example.com")],
        &[("origin", &other_port)],
        &[("origin", "")],
    ];
    for headers in foreign {
        for path in ["/logout", "/cart", "/login", "/api/counters/n", "/api/devices/revoke-others"] {
            let answer = ann.ask_with(Method::POST, path, headers).await.no_cookie();
            assert_eq!(answer.error(403), "a page of another site asked for this", "{headers:?} {path}");
        }
        // Reading is allowed, as for a link.
        ann.ask_with(Method::GET, "/api/session", headers).await.expect(200);
    }
    let session = ann.session().await;
    assert_eq!((&session["user"], &session["keys"]), (&"ann".into(), &serde_json::json!(["user"])));
    let local: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        // A proxy in between may have changed the request's host.
        &[("sec-fetch-site", "same-origin"), ("origin", "https://shop.example")],
        &[("origin", &same)],
    ];
    for headers in local {
        ann.ask_with(Method::POST, "/api/counters/n", headers).await.expect(200);
    }
    assert_eq!(ann.entry("n").await, 4);
    demo.stop();
}
