//! The demo's shutdown, and errors at its start.

use std::net::TcpListener;

use crate::{
    browser::Browser,
    process::{Demo, run},
    raw::Held,
};

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_the_demo_with_success() {
    for name in ["TERM", "INT"] {
        let mut demo = Demo::plain();
        // An open keep-alive connection does not delay the shutdown.
        Browser::new(&demo).log_in("ann").await;
        demo.signal(name);
        let status = demo.wait();
        assert!(status.success(), "{name}: {status}\n{}", demo.log());
        assert!(demo.log().contains("stopping"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn requests_under_way_are_answered_before_the_demo_ends() {
    let mut demo = Demo::plain();
    let cookie = Browser::new(&demo).log_in("ann").await.cookie();
    let mut slow = Held::put(&demo, &cookie, "/api/entries/k?delay_ms=200", "1").await;
    demo.signal("TERM");
    slow.send_body().await;
    let answer = slow.answer().await;
    assert!(answer.starts_with("http/1.1 204 "), "{answer}");
    assert!(demo.wait().success(), "{}", demo.log());
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_the_demo_at_once() {
    let mut demo = Demo::plain();
    let cookie = Browser::new(&demo).log_in("ann").await.cookie();
    // Its body never arrives, so it would delay the shutdown until the grace period is over.
    let stuck = Held::put(&demo, &cookie, "/api/entries/k", "1").await;
    demo.signal("TERM");
    demo.until("stopping", 1).await;
    demo.signal("INT");
    assert!(demo.wait().success(), "{}", demo.log());
    assert!(demo.log().contains("not waiting for requests under way"));
    drop(stuck);
}

#[test]
fn an_address_in_use_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("can't listen on {address}")) && error.contains("--listen HOST:PORT"), "{error}");
    assert!(output.stdout.is_empty());
    for address in ["nonsense", "127.0.0.1:99999", "no-such-host.invalid:80"] {
        let output = run(&["--listen", address]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("can't listen on {address}")));
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for arguments in [["--idle", "0"], ["--absolute", "0"], ["--idle", "x"], ["--cache", "0"], ["--nonsense", "1"]] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(arguments[0]), "{arguments:?}");
    }
}

#[test]
fn help_lists_the_flags_with_their_defaults() {
    let output = run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for flag in [
        "--listen <HOST:PORT>",
        "[default: 127.0.0.1:3000]",
        "--store <URL>",
        "[default: memory:]",
        "--plain-http",
        "--idle <SECONDS>",
        "[default: 3600]",
        "--absolute <SECONDS>",
        "[default: 86400]",
        "--secret-file <PATH>",
        "--cache <SESSIONS>",
        "--exclusive",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}
