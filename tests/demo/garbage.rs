//! What no honest client sends. Whatever comes, the demo answers or hangs up, and never panics, which `Demo` checks.

use proptest::{
    collection::vec,
    prelude::{any, prop},
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::{browser::Browser, process::Demo, raw::exchange};

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
async fn requests_that_are_none() {
    let demo = Demo::plain();
    let many_headers: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = "x".repeat(1 << 20);
    let requests: [(&str, String); 12] = [
        ("nothing", String::new()),
        ("a line", "\r\n".to_owned()),
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("zeros", "\0".repeat(1_000)),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned()),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nHost: demo\r\n\r\n")),
        ("a long header", format!("GET / HTTP/1.1\r\nHost: demo\r\nX: {long}\r\n\r\n")),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: demo\r\n{many_headers}\r\n")),
        ("a body too short", "PUT /api/entries/k HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\n1".to_owned()),
        ("a negative length", "PUT /api/entries/k HTTP/1.1\r\nHost: demo\r\nContent-Length: -1\r\n\r\n1".to_owned()),
        (
            "bad chunks",
            "PUT /api/entries/k HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n".to_owned(),
        ),
    ];
    for (name, bytes) in requests {
        let answer = exchange(&demo, bytes.as_bytes()).await;
        let status = status(&answer);
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{name}: {status:?}");
        assert!(!answer.windows(10).any(|window| window.eq_ignore_ascii_case(b"set-cookie")), "{name}");
    }
    Browser::new(&demo).get("/healthz").await.expect(200);
    demo.stop();
}

/// V9: cookies that can't be ours are no session, and no error.
#[tokio::test]
async fn v9_cookies_that_are_none() {
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

/// Promise 13, with what chance brings: bytes as cookies, as keys and as bodies.
#[tokio::test]
async fn chance_finds_nothing() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let mut runner = TestRunner::deterministic();
    // Visible bytes and beyond: the others end the header.
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
