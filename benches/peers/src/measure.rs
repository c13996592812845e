//! The time and allocations of whole requests.

use std::time::{Duration, Instant};

pub(crate) use bench_support::measure::median;
use serde::Serialize;
use tokio::{runtime::Runtime, task::unconstrained};

use crate::{
    call::send,
    effort::Effort,
    scenario::Scenario,
    shape::Shape,
    subjects::{self, Kind, Subject},
};

/// The number of fast requests in a round.
pub(crate) const REQUESTS: usize = 200;
/// The time of a round of slow requests: it has as many as fit.
const ROUND_TIME: Duration = Duration::from_millis(2);

/// The cost of one request.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    pub(crate) scenario: Scenario,
    pub(crate) shape: Shape,
    /// The median of the rounds.
    #[serde(rename = "microseconds")]
    pub(crate) time: f64,
    /// The allocations on the request's thread.
    pub(crate) allocations: i64,
    pub(crate) bytes: i64,
}

/// Measures these scenarios with all subjects, over sessions of this shape.
pub(crate) fn costs(
    runtime: &Runtime,
    shape: Shape,
    scenarios: &[Scenario],
    rounds: usize,
    effort: Effort,
) -> Vec<Cost> {
    let mut subjects: Vec<Subject> =
        subjects::ALL.into_iter().map(|kind| runtime.block_on(Subject::new(kind, shape))).collect();
    let mut samples: Vec<(usize, Scenario, usize, Vec<f64>)> = Vec::new();
    for &scenario in scenarios {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let requests = fitting(ROUND_TIME, run(runtime, subject, scenario, 20)).min(REQUESTS);
            samples.push((at, scenario, requests, Vec::new()));
        }
    }
    for _ in 0..rounds {
        for (at, scenario, requests, times) in &mut samples {
            times.push(run(runtime, &mut subjects[*at], *scenario, *requests));
        }
    }
    samples
        .into_iter()
        .map(|(at, scenario, _, times)| {
            let (allocations, bytes) = count(runtime, &mut subjects[at], scenario, effort.counted);
            Cost { kind: subjects[at].kind, scenario, shape, time: median(times), allocations, bytes }
        })
        .collect()
}

/// Sends the same request repeatedly.
pub(crate) fn repeat(runtime: &Runtime, kind: Kind, scenario: Scenario, requests: usize) {
    let mut subject = runtime.block_on(Subject::new(kind, Shape::Reference));
    run(runtime, &mut subject, scenario, requests);
}

/// Returns how many requests of this duration fit, at least one.
pub(crate) fn fitting(time: Duration, microseconds: f64) -> usize {
    ((time.as_secs_f64() * 1e6 / microseconds) as usize).max(1)
}

/// Returns the microseconds of a request.
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

fn count(runtime: &Runtime, subject: &mut Subject, scenario: Scenario, times: usize) -> (i64, i64) {
    let none = allocation_counter::measure(|| runtime.block_on(unconstrained(async {})));
    let uri = scenario.uri();
    let cookie = scenario.has_cookie().then_some(&subject.cookie);
    let router = &mut subject.router;
    let counts = (0..times).map(|_| {
        let info = allocation_counter::measure(|| {
            runtime.block_on(unconstrained(async { drop(send(router, &uri, cookie).await) }));
        });
        ((info.count_total - none.count_total).cast_signed(), (info.bytes_total - none.bytes_total).cast_signed())
    });
    median(counts.collect())
}
