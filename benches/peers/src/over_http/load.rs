//! The load: visitors with one connection each, who send the next request as soon as the last one is answered.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{client::Client, pages::Pages};
use crate::runtime;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

/// The part of the time that passes before anything is recorded, while the connections are opened.
const WARM_UP: f64 = 0.2;

/// The latencies of the responses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) seconds: f64,
    /// Pairs of nanoseconds and the number of responses that took as long.
    pub(crate) latencies: Vec<(u64, u64)>,
}

impl Answered {
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut all = histogram();
        for &(nanoseconds, times) in &self.latencies {
            all.record_n(nanoseconds, times).expect("it grows");
        }
        all
    }
}

/// Creates a histogram that keeps three significant digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("1 to 5 digits")
}

/// Runs the load, in the child.
pub(crate) fn load(port: u16, pages: Pages, settings: Settings) -> Answered {
    runtime::single().block_on(async {
        let mut visitors = JoinSet::new();
        let begin = Instant::now() + settings.time.mul_f64(WARM_UP);
        let end = begin + settings.time;
        for _ in 0..settings.connections {
            visitors.spawn(visit(port, pages, begin, end));
        }
        let (mut all, mut last) = (histogram(), end);
        for (latencies, answered) in visitors.join_all().await {
            all.add(latencies).expect("of the same digits");
            last = last.max(answered);
        }
        let latencies = all.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value()));
        Answered { seconds: (last - begin).as_secs_f64(), latencies: latencies.collect() }
    })
}

/// Runs one visitor, who sends requests from `begin` until `end`, and at least one. Also returns when the last response
/// came, so that the slowest one is not left out for being too late.
async fn visit(port: u16, pages: Pages, begin: Instant, end: Instant) -> (Histogram<u64>, Instant) {
    let mut latencies = histogram();
    let mut client = Client::connect(port).await;
    if pages.has_cookie() {
        client.get("/fill", true).await;
    }
    let mut at = 0;
    loop {
        if pages.keeps_cookies() && at == 0 {
            client.forget();
        }
        let sent = Instant::now();
        client.get(pages.paths()[at], pages.keeps_cookies()).await;
        let answered = Instant::now();
        if sent >= begin {
            latencies.record((answered - sent).as_nanos() as u64).expect("it grows");
            if answered >= end {
                return (latencies, answered);
            }
        }
        at = (at + 1) % pages.paths().len();
    }
}
