//! Measures all subjects in turn, and prints their ratios.

use super::{
    load::{Answered, Settings, histogram},
    pages::{self, Pages},
    server::Server,
};
use crate::{
    child,
    database::Place,
    median,
    subjects::{self, Kind},
};

struct Rates {
    kind: Kind,
    per_second: f64,
    p50: f64,
    p99: f64,
}

pub(crate) fn compare(settings: Settings, rounds: usize, place: &Place) {
    let servers = subjects::ALL.map(|kind| (kind, Server::start(kind, &place.of(kind))));
    for pages in pages::ALL {
        let mut answered: Vec<(Kind, u16, Vec<Answered>)> =
            servers.iter().map(|(kind, server)| (*kind, server.port, Vec::new())).collect();
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", pages.argument());
            for (_, port, all) in &mut answered {
                all.push(child::ask(&[
                    "child-load".to_owned(),
                    port.to_string(),
                    pages.argument(),
                    settings.connections.to_string(),
                    settings.time.as_secs_f64().to_string(),
                ]));
            }
        }
        let rates: Vec<_> = answered.into_iter().map(|(kind, _, all)| summed(kind, &all)).collect();
        print(pages, settings, &rates);
    }
}

fn summed(kind: Kind, all: &[Answered]) -> Rates {
    let mut latencies = histogram();
    for answered in all {
        latencies.add(answered.histogram()).expect("of the same digits");
    }
    let rates = all.iter().map(|answered| answered.histogram().len() as f64 / answered.seconds);
    let at = |percent| latencies.value_at_percentile(percent) as f64 / 1e6;
    Rates { kind, per_second: median(rates.collect()), p50: at(50.0), p99: at(99.0) }
}

fn print(pages: Pages, settings: Settings, rates: &[Rates]) {
    println!(
        "\n{}, {} connections: requests a second, milliseconds at p50 and p99",
        pages.argument(),
        settings.connections
    );
    for Rates { kind, per_second, p50, p99 } in rates {
        println!("  {:<46} {per_second:>8.0}  {p50:>7.2} {p99:>7.2}", kind.name());
    }
    for sqlite in [false, true] {
        let of = |kinds: &[Kind]| {
            let these = rates.iter().filter(|rate| kinds.contains(&rate.kind) && rate.kind.is_sqlite() == sqlite);
            these.map(|rate| rate.per_second).fold(0.0, f64::max)
        };
        let own = of(&subjects::OWN);
        let database = if sqlite { "SQLite" } else { "PostgreSQL" };
        println!(
            "  {database}: {:.2} times the best peer, {:.2} of the bare statements",
            own / of(&subjects::PEERS),
            own / of(&subjects::BARE)
        );
    }
}
