//! The load: visitors with one connection each, which send their next request as soon as the last one is answered.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{client::Client, pages::Pages};
use crate::{child, measure::median, runtime};

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub connections: usize,
    pub time: Duration,
}

/// The fraction of the time before anything is recorded, while the connections are opened.
const WARM_UP: f64 = 0.2;

/// The latencies of the responses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answered {
    pub seconds: f64,
    /// The number of all requests, including those of the warm-up.
    pub sent: u64,
    /// Latencies in nanoseconds, and the number of responses with each.
    pub latencies: Vec<(u64, u64)>,
}

impl Answered {
    /// Responses per second.
    pub fn rate(&self) -> f64 {
        self.histogram().len() as f64 / self.seconds
    }

    fn histogram(&self) -> Histogram<u64> {
        let mut all = histogram();
        for &(nanoseconds, times) in &self.latencies {
            all.record_n(nanoseconds, times).expect("it grows");
        }
        all
    }
}

/// A histogram with three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("1 to 5 digits")
}

/// The measurements of all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// The median of the rounds.
    pub requests_per_second: f64,
    /// In microseconds, of all rounds.
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
}

impl Summary {
    pub fn of(all: &[Answered]) -> Self {
        let mut latencies = histogram();
        for answered in all {
            latencies.add(answered.histogram()).expect("of the same digits");
        }
        let at = |percent| latencies.value_at_percentile(percent) as f64 / 1e3;
        let rates = all.iter().map(Answered::rate).collect();
        Self { requests_per_second: median(rates), p50: at(50.0), p99: at(99.0), p99_9: at(99.9) }
    }
}

/// Loads a server from another process: this program, called with `child-load`.
pub fn ask(port: u16, pages: Pages, settings: Settings) -> Answered {
    let Settings { connections, time } = settings;
    let numbers = [port.to_string(), pages.argument(), connections.to_string(), time.as_secs_f64().to_string()];
    child::ask(&[&["child-load".to_owned()], &numbers[..]].concat())
}

/// Loads a server, in the process that was started for this.
pub fn load(port: u16, pages: Pages, settings: Settings) -> Answered {
    runtime::single().block_on(async {
        let mut visitors = JoinSet::new();
        let begin = Instant::now() + settings.time.mul_f64(WARM_UP);
        let end = begin + settings.time;
        for _ in 0..settings.connections {
            visitors.spawn(visit(port, pages, begin, end));
        }
        let (mut all, mut last, mut sent) = (histogram(), end, 0);
        for (latencies, answered, by_this) in visitors.join_all().await {
            sent += by_this;
            all.add(latencies).expect("of the same digits");
            last = last.max(answered);
        }
        let latencies = all.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value()));
        Answered { seconds: (last - begin).as_secs_f64(), sent, latencies: latencies.collect() }
    })
}

/// Runs one visitor, which sends requests from `begin` until `end`, and at least one. Also returns the time of the last
/// response, since the slowest one must be counted even if it comes late, and the number of requests that were sent.
async fn visit(port: u16, pages: Pages, begin: Instant, end: Instant) -> (Histogram<u64>, Instant, u64) {
    let mut latencies = histogram();
    let mut client = Client::connect(port).await;
    if pages.has_cookie() {
        client.get("/fill", true).await;
    }
    let (mut at, mut asked) = (0, 0);
    loop {
        if pages.keeps_cookies() && at == 0 {
            client.forget();
        }
        let sent = Instant::now();
        client.get(pages.paths()[at], pages.keeps_cookies()).await;
        let answered = Instant::now();
        asked += 1;
        if sent >= begin {
            latencies.record((answered - sent).as_nanos() as u64).expect("it grows");
            if answered >= end {
                return (latencies, answered, asked);
            }
        }
        at = (at + 1) % pages.paths().len();
    }
}
