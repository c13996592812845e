//! Requests that no honest client sends. The demo answers or hangs up, and never panics, which `Demo` checks.

use proptest::{
    collection::vec,
    prelude::{any, prop},
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::{
    browser::Browser,
    process::Demo,
    raw::{exchange, exchange_part},
};

fn request(head: &str, cookie: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{head}\r\nHost: demo\r\nConnection: close\r\nCookie: ").into_bytes();
    bytes.extend_from_slice(cookie);
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}

fn status(answer: &[u8]) -> Option<u16> {
    answer.get(9..12).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok())
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let demo = Demo::plain();
    let many_headers: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = "x".repeat(1 << 20);
    let put =
        |headers: &str, body: &str| format!("PUT /api/entries/k HTTP/1.1\r\nHost: demo\r\n{headers}\r\n\r\n{body}");
    let requests = [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("zeros", "\0".repeat(1_000)),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned()),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nHost: demo\r\n\r\n")),
        ("a long header", format!("GET / HTTP/1.1\r\nHost: demo\r\nX: {long}\r\n\r\n")),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: demo\r\n{many_headers}\r\n")),
        ("a negative length", put("Content-Length: -1", "1")),
        ("two lengths", put("Content-Length: 1\r\nContent-Length: 2", "11")),
        ("bad chunks", put("Connection: close\r\nTransfer-Encoding: chunked", "zz\r\n1\r\n")),
    ];
    for (name, bytes) in requests {
        let answer = exchange(&demo, bytes.as_bytes()).await;
        // The demo can hang up while the client still sends, and its answer can be lost then.
        let status = status(&answer);
        assert!(matches!(status, Some(400 | 431) | None), "{name}: {status:?}");
        assert!(!answer.windows(10).any(|window| window.eq_ignore_ascii_case(b"set-cookie")), "{name}");
        Browser::new(&demo).get("/healthz").await.expect(200);
    }
    demo.stop();
}

#[tokio::test]
async fn requests_that_break_off_have_no_effect() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let cookie = browser.log_in("ann").await.cookie();
    let request =
        format!("PUT /api/entries/k HTTP/1.1\r\nHost: demo\r\nCookie: {cookie}\r\nContent-Length: 2\r\n\r\n12");
    for length in (0..request.len()).step_by(3).chain([request.len() - 1]) {
        exchange_part(&demo, &request.as_bytes()[..length]).await;
    }
    assert_eq!(browser.session().await["keys"], serde_json::json!(["user"]));
    demo.stop();
}

#[tokio::test]
async fn malformed_cookies_are_ignored() {
    let demo = Demo::plain();
    let token = "0123456789abcdefghijklmnopqrstuv";
    let crowd = format!("sid={token}; ").repeat(200);
    let others: String = (0..300).map(|n| format!("c{n}=v; ")).collect();
    let cookies: [&[u8]; 16] = [
        b"",
        b"sid",
        b"sid=",
        b"=",
        b";;;;",
        b"sid=short",
        b"sid=\"",
        b"sid=\xff\xfe\x80",
        b"\xff=\xff",
        b"sid=%00%ff%zz",
        b"sid=../../../../etc/passwd",
        b"sid=0123456789abcdefghijklmnopqrstuvw",
        b"sid=0123456789abcdefghijklmnopqrst==",
        "sid=€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€".as_bytes(),
        crowd.as_bytes(),
        others.as_bytes(),
    ];
    for cookie in cookies {
        let answer = exchange(&demo, &request("GET /api/session HTTP/1.1", cookie)).await;
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(status(&answer), Some(200), "{:?}: {text}", String::from_utf8_lossy(cookie));
        assert!(text.contains("\"new\":true") && !text.to_lowercase().contains("set-cookie"), "{text}");
    }
    demo.stop();
}

/// Random bytes as cookies, as keys and as bodies.
#[tokio::test]
async fn random_requests_never_panic_the_demo() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let mut runner = TestRunner::deterministic();
    // Visible bytes and above, since the others end the header.
    let cookies = vec(prop::sample::select((0x20..=0xff).filter(|byte| *byte != 0x7f).collect::<Vec<u8>>()), 0..200);
    let keys = vec(any::<u8>(), 1..100).prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02X}")).collect());
    let bodies = vec(any::<u8>(), 0..200);
    for _ in 0..150 {
        let cookie = [b"sid=".to_vec(), cookies.new_tree(&mut runner).unwrap().current()].concat();
        let answer = exchange(&demo, &request("GET / HTTP/1.1", &cookie)).await;
        assert_eq!(status(&answer), Some(200), "{:?}", String::from_utf8_lossy(&cookie));

        let key: String = keys.new_tree(&mut runner).unwrap().current();
        let body = String::from_utf8_lossy(&bodies.new_tree(&mut runner).unwrap().current()).into_owned();
        let answer = browser.put(&format!("/api/entries/{key}"), body).await;
        assert!([204, 400].contains(&answer.status.as_u16()), "{key}: {}", answer.status);
        let answer = browser.post(&format!("/api/counters/{key}")).await;
        assert!([200, 400, 409, 413].contains(&answer.status.as_u16()), "{key}: {}", answer.status);
    }
    browser.get("/").await.expect(200);
    demo.stop();
}
