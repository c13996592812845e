//! The results over HTTP.

use bench_support::{
    http::{ALL_PAGES, Pages, Settings},
    markdown::{table, thousands, time},
};
use serde_json::{Value, json};

use super::Report;
use crate::{
    effort::Effort,
    machine::{self, Machine},
    over_http::{self, Loaded},
    plot,
    subjects::{self, Kind},
};

#[derive(Debug)]
pub(crate) struct OverHttp {
    machine: Machine,
    settings: Settings,
    rounds: usize,
    loaded: Vec<Loaded>,
}

impl OverHttp {
    pub(crate) fn measure(settings: Settings, quick: bool) -> Self {
        let effort = Effort::of(quick);
        let loaded = over_http::all(settings, effort);
        Self { machine: machine::here(), settings, rounds: effort.load_rounds, loaded }
    }

    fn loaded(&self, kind: Kind, pages: Pages) -> &Loaded {
        let found = self.loaded.iter().find(|loaded| loaded.kind == kind && loaded.pages == pages);
        found.expect("all were loaded")
    }
}

impl Report for OverHttp {
    fn markdown(&self) -> String {
        let rows = subjects::ALL.into_iter().map(|kind| {
            let cells = ALL_PAGES.map(|pages| {
                let loaded = self.loaded(kind, pages).answered;
                let [p50, p99, p99_9] = [loaded.p50, loaded.p99, loaded.p99_9].map(time);
                format!("{}/s; {p50}, {p99}, {p99_9}", thousands(loaded.requests_per_second))
            });
            (kind.name().to_owned(), cells.into())
        });
        let table = table(&ALL_PAGES.map(Pages::name), rows);
        let Settings { connections, time } = self.settings;
        format!(
            "{table}\nRequests a second, the median of the rounds; then latencies at p50, p99 and p99.9 of all of them. HTTP/1.1 over the loopback, {connections} \
             connections that are kept, each a visitor with a session of 0.7 KB who asks again as soon as answered; a \
             server on one thread and the load from another process; {rounds} rounds of {time:?}, the subjects in turn. A \
             visit is ten requests: a new session is filled, five pages, two additions to the cart, a renewal, a logout.\n\n{machine}\n",
            rounds = self.rounds,
            machine = self.machine.line(),
        )
    }

    fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "connections": self.settings.connections,
            "seconds": self.settings.time.as_secs_f64() * self.rounds as f64,
            "loaded": self.loaded,
        })
    }

    fn plot(&self) -> String {
        let groups = |value: fn(&Loaded) -> f64| {
            let group = |pages: Pages| plot::Group {
                name: pages.name(),
                values: PLOTTED.map(|kind| value(self.loaded(kind, pages))).into(),
            };
            ALL_PAGES.map(group).into()
        };
        let rate = plot::Bars {
            title: "Throughput: more is better",
            unit: "thousand requests a second",
            decimals: 1,
            groups: groups(|loaded| loaded.answered.requests_per_second / 1e3),
        };
        let latency = plot::Bars {
            title: "Latency at p99: less is better",
            unit: "ms",
            decimals: 2,
            groups: groups(|loaded| loaded.answered.p99 / 1e3),
        };
        let under =
            format!("Sessions of 0.7 KB in memory, {} connections, one server thread.", self.settings.connections);
        plot::bars("Through HTTP/1.1", &under, &PLOTTED, &[rate, latency], &self.machine.line())
    }
}

/// The subjects in the plot.
const PLOTTED: [Kind; 5] = [Kind::Empty, Kind::Memory, Kind::TowerMemory, Kind::TowerMoka, Kind::AxumSession];
