//! What 100,000 sessions take, and how many requests one and two threads serve over them.
//!
//! Each subject has a process of its own, so that what one leaves behind is not in another's numbers.

use std::{process::Command, sync::Barrier, thread, time::Instant};

use axum::Router;
use http::HeaderValue;
use tokio::{runtime::Runtime, task::unconstrained};

use crate::{
    call::send,
    measure::median,
    scenario::Scenario,
    single,
    subjects::{self, Kind, Subject},
};

pub(crate) const SESSIONS: usize = 100_000;
const ROUNDS: usize = 15;
/// Of each thread, in a round.
const REQUESTS: usize = 20_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) kind: Kind,
    /// Resident bytes for each session.
    pub(crate) bytes: f64,
    /// Reads a second.
    pub(crate) one_thread: f64,
    pub(crate) two_threads: f64,
    /// The median of each round's two threads to its one thread.
    pub(crate) gain: f64,
}

/// In a child process.
pub(crate) fn all() -> Vec<Crowd> {
    let program = std::env::current_exe().expect("this program");
    subjects::IN_MEMORY
        .into_iter()
        .map(|kind| {
            let output = Command::new(&program).args(["--crowd", kind.name()]).output().expect("this program");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).expect("numbers");
            let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().expect("a number")).collect();
            let &[bytes, one_thread, two_threads, gain] = &*numbers else { panic!("not four numbers: {text}") };
            Crowd { kind, bytes, one_thread, two_threads, gain }
        })
        .collect()
}

/// In the child: its four numbers.
pub(crate) fn one(kind: Kind) -> [f64; 4] {
    let runtime = single();
    let subject = runtime.block_on(Subject::new(kind));
    // Room for the cookies is no session's.
    let mut cookies = Vec::with_capacity(SESSIONS);
    let mut kept = vec![0_u8; SESSIONS * 128];
    kept.fill(1);
    drop(kept);
    let before = resident();
    for _ in 0..SESSIONS {
        cookies.push(runtime.block_on(unconstrained(subjects::seed(&subject.router))));
    }
    let grown = resident().saturating_sub(before);
    let lines: usize = cookies.iter().map(|cookie| cookie.len().next_multiple_of(16) + 56).sum();
    let bytes = grown.saturating_sub(lines) as f64 / SESSIONS as f64;

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let one = rate(&subject.router, &cookies, 1);
        rounds.push((one, rate(&subject.router, &cookies, 2)));
    }
    let of = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect());
    [bytes, of(|round| round.0), of(|round| round.1), of(|round| round.1 / round.0)]
}

/// Reads a second by this many threads.
fn rate(router: &Router, cookies: &[HeaderValue], threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let slowest = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (mut router, barrier) = (router.clone(), &barrier);
                scope.spawn(move || {
                    let runtime: Runtime = single();
                    let uri = Scenario::Read.uri();
                    barrier.wait();
                    let start = Instant::now();
                    runtime.block_on(unconstrained(async {
                        // A step that is prime to the number of sessions comes by all of them.
                        let mut at = thread * SESSIONS / 2;
                        for _ in 0..REQUESTS {
                            at = (at + 61_803) % cookies.len();
                            let response = send(&mut router, &uri, Some(&cookies[at])).await;
                            assert!(response.status().is_success(), "a read answered {}", response.status());
                        }
                    }));
                    start.elapsed().as_secs_f64()
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("it does not panic")).fold(0.0, f64::max)
    });
    (threads * REQUESTS) as f64 / slowest
}

/// Bytes of this process in memory, as Linux tells; elsewhere 0.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() * 1_024
}
