//! Measures how many requests one and two threads serve over many sessions.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use axum::Router;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Runtime,
    task::{JoinSet, unconstrained},
};

use crate::{
    call::send,
    child,
    effort::Effort,
    measure::{fitting, median},
    runtime,
    scenario::Scenario,
    shape::Shape,
    subjects::{Kind, Subject, fill},
};

/// The number of concurrent requests while the sessions are created.
const FILLERS: usize = 16;
/// A step that is coprime to the number of sessions visits all of them.
const STEP: usize = 61_803;

/// Throughput, in requests a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rate {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    pub(crate) sessions: usize,
    pub(crate) scenario: Scenario,
    pub(crate) one_thread: f64,
    pub(crate) two_threads: f64,
    /// The median of the rounds' ratios of two threads to one.
    #[serde(rename = "two_threads_to_one")]
    pub(crate) gain: f64,
}

/// Measures in a child process.
pub(crate) fn apart(kind: Kind, sessions: usize, scenarios: &[Scenario], quick: bool) -> Vec<Rate> {
    let mut arguments = vec!["child-threads".to_owned(), kind.argument(), sessions.to_string()];
    arguments.extend(scenarios.iter().map(|scenario| scenario.argument()));
    arguments.extend(quick.then(|| "--quick".to_owned()));
    child::ask(&arguments)
}

/// Measures, in the child.
pub(crate) fn one(kind: Kind, sessions: usize, scenarios: &[Scenario], effort: Effort) -> Vec<Rate> {
    let runtime = runtime::two_threads();
    let subject = runtime.block_on(Subject::new(kind, Shape::Reference));
    let cookies = Arc::new(runtime.block_on(filled(&subject.filler, sessions)));
    let rates = scenarios.iter().map(|&scenario| {
        let run = |threads, requests| rate(&runtime, &subject.router, &cookies, scenario, threads, requests);
        let requests = fitting(effort.thread_round, 1e6 / run(1, 100));
        let mut rounds = Vec::new();
        for _ in 0..effort.thread_rounds {
            rounds.push((run(1, requests), run(2, requests)));
        }
        let of = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect());
        let (one_thread, two_threads) = (of(|round| round.0), of(|round| round.1));
        Rate { kind, sessions, scenario, one_thread, two_threads, gain: of(|round| round.1 / round.0) }
    });
    rates.collect()
}

/// Creates this many sessions and returns their cookies.
async fn filled(router: &Router, sessions: usize) -> Vec<HeaderValue> {
    let mut fillers = JoinSet::new();
    for filler in 0..FILLERS {
        let router = router.clone();
        fillers.spawn(async move {
            let mut cookies = Vec::new();
            for _ in (filler..sessions).step_by(FILLERS) {
                cookies.push(fill(&router).await);
            }
            cookies
        });
    }
    fillers.join_all().await.concat()
}

/// Returns the throughput of this many tasks with this many requests each. Each task keeps its thread as long as it
/// doesn't have to wait.
fn rate(
    runtime: &Runtime,
    router: &Router,
    cookies: &Arc<Vec<HeaderValue>>,
    scenario: Scenario,
    tasks: usize,
    requests: usize,
) -> f64 {
    // It blocks, so each task has its own worker thread before the first request.
    let barrier = Arc::new(Barrier::new(tasks));
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (mut router, cookies, barrier) = (router.clone(), Arc::clone(cookies), Arc::clone(&barrier));
        let work = async move {
            let uri = scenario.uri();
            barrier.wait();
            let start = Instant::now();
            let mut at = task * cookies.len() / 2;
            for _ in 0..requests {
                at = (at + STEP) % cookies.len();
                let cookie = scenario.has_cookie().then(|| &cookies[at]);
                let response = send(&mut router, &uri, cookie).await;
                assert!(response.status().is_success(), "{} answered {}", scenario.name(), response.status());
            }
            start.elapsed()
        };
        running.spawn_on(unconstrained(work), runtime.handle());
    }
    let slowest = runtime.block_on(running.join_all()).into_iter().fold(Duration::ZERO, Duration::max);
    (tasks * requests) as f64 / slowest.as_secs_f64()
}
