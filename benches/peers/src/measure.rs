//! Time and allocations of whole requests.

use std::time::{Duration, Instant};

use tokio::{runtime::Runtime, task::unconstrained};

use crate::{
    call::send,
    scenario::{self, Scenario},
    subjects::{self, Kind, Subject},
};

/// Rounds of all scenarios with all subjects, in turn: many and short, so that nothing else on the machine came into the
/// median one.
pub(crate) const ROUNDS: usize = 301;
/// Requests in a round, where they are fast.
pub(crate) const REQUESTS: usize = 200;
/// Where they are slow, a round is as many as fit into this.
const ROUND_TIME: Duration = Duration::from_millis(2);
/// Requests whose allocations are counted one by one; the median leaves out the growing of a table.
const COUNTED: usize = 101;

/// What one request costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) kind: Kind,
    pub(crate) scenario: Scenario,
    /// Microseconds, the median of the rounds.
    pub(crate) time: f64,
    /// On the thread of the request.
    pub(crate) allocations: i64,
    pub(crate) bytes: i64,
}

pub(crate) fn costs(runtime: &Runtime) -> Vec<Cost> {
    let mut subjects: Vec<Subject> =
        subjects::ALL.into_iter().map(|kind| runtime.block_on(Subject::new(kind))).collect();
    let mut samples: Vec<(usize, Scenario, usize, Vec<f64>)> = Vec::new();
    for scenario in scenario::ALL {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let estimate = run(runtime, subject, scenario, 20) * 1e-6;
            let requests = ((ROUND_TIME.as_secs_f64() / estimate) as usize).clamp(1, REQUESTS);
            samples.push((at, scenario, requests, Vec::new()));
        }
    }
    for _ in 0..ROUNDS {
        for (at, scenario, requests, times) in &mut samples {
            times.push(run(runtime, &mut subjects[*at], *scenario, *requests));
        }
    }
    samples
        .into_iter()
        .map(|(at, scenario, _, times)| {
            let (allocations, bytes) = count(runtime, &mut subjects[at], scenario);
            Cost { kind: subjects[at].kind, scenario, time: median(times), allocations, bytes }
        })
        .collect()
}

/// The same requests again and again.
pub(crate) fn repeat(runtime: &Runtime, kind: Kind, scenario: Scenario, requests: usize) {
    let mut subject = runtime.block_on(Subject::new(kind));
    run(runtime, &mut subject, scenario, requests);
}

/// Microseconds a request.
fn run(runtime: &Runtime, subject: &mut Subject, scenario: Scenario, requests: usize) -> f64 {
    let uri = scenario.uri();
    let cookie = scenario.has_cookie().then_some(&subject.cookie);
    let router = &mut subject.router;
    runtime.block_on(unconstrained(async {
        let start = Instant::now();
        for _ in 0..requests {
            let response = send(router, &uri, cookie).await;
            assert!(response.status().is_success(), "{} answered {}", scenario.name(), response.status());
        }
        start.elapsed().as_secs_f64() * 1e6 / requests as f64
    }))
}

fn count(runtime: &Runtime, subject: &mut Subject, scenario: Scenario) -> (i64, i64) {
    let none = allocation_counter::measure(|| runtime.block_on(unconstrained(async {})));
    let uri = scenario.uri();
    let cookie = scenario.has_cookie().then_some(&subject.cookie);
    let router = &mut subject.router;
    let counts = (0..COUNTED).map(|_| {
        let info = allocation_counter::measure(|| {
            runtime.block_on(unconstrained(async { drop(send(router, &uri, cookie).await) }));
        });
        ((info.count_total - none.count_total).cast_signed(), (info.bytes_total - none.bytes_total).cast_signed())
    });
    median(counts.collect())
}

pub(crate) fn median<T: PartialOrd + Copy>(mut samples: Vec<T>) -> T {
    samples.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
    samples[samples.len() / 2]
}
