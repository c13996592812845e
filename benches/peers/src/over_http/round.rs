//! Loads all subjects in turn.

use serde::Serialize;

use super::{
    load::{Answered, Settings, histogram},
    pages::{self, Pages},
    server::Server,
};
use crate::{child, effort::Effort, measure::median, progress, subjects, subjects::Kind};

/// The results of one subject, over all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Loaded {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    pub(crate) pages: Pages,
    /// The median of the rounds.
    pub(crate) requests_per_second: f64,
    /// In microseconds, over all rounds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
}

pub(crate) fn all(settings: Settings, effort: Effort) -> Vec<Loaded> {
    let servers = subjects::ALL.map(|kind| (kind, Server::start(kind)));
    let mut answered: Vec<(Kind, Pages, Vec<Answered>)> = Vec::new();
    for pages in pages::ALL {
        answered.extend(subjects::ALL.map(|kind| (kind, pages, Vec::new())));
    }
    for round in 1..=effort.load_rounds {
        progress(&format!("over HTTP: round {round} of {}", effort.load_rounds));
        for (kind, pages, all) in &mut answered {
            let server = servers.iter().find(|(served, _)| served == kind);
            let port = server.expect("each is served").1.port;
            all.push(child::ask(&[
                "child-load".to_owned(),
                port.to_string(),
                pages.argument(),
                settings.connections.to_string(),
                settings.time.as_secs_f64().to_string(),
            ]));
        }
    }
    answered.into_iter().map(|(kind, pages, all)| summed(kind, pages, &all)).collect()
}

fn summed(kind: Kind, pages: Pages, all: &[Answered]) -> Loaded {
    let mut latencies = histogram();
    for answered in all {
        latencies.add(answered.histogram()).expect("of the same digits");
    }
    let rates = all.iter().map(|answered| answered.histogram().len() as f64 / answered.seconds);
    let at = |percent| latencies.value_at_percentile(percent) as f64 / 1e3;
    Loaded { kind, pages, requests_per_second: median(rates.collect()), p50: at(50.0), p99: at(99.0), p99_9: at(99.9) }
}
