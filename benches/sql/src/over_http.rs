//! Measures all subjects over real HTTP connections, in turn, and prints their ratios.

use bench_support::http::{self, Answered, Pages, Server, Settings, Summary};

use crate::{
    database::Place,
    subjects::{self, Kind},
};

const PAGES: [Pages; 3] = [Pages::Read, Pages::Write, Pages::Create];

/// Serves one subject, in the child process.
pub(crate) fn serve(kind: Kind, place: &str) {
    http::serve(async { (subjects::router(kind, place).await, ()) });
}

pub(crate) fn compare(settings: Settings, rounds: usize, place: &Place) {
    let start = |kind: Kind| Server::start(&["child-serve".to_owned(), kind.argument(), place.of(kind)]);
    let servers = subjects::ALL.map(|kind| (kind, start(kind)));
    for pages in PAGES {
        let mut answered: Vec<(Kind, u16, Vec<Answered>)> =
            servers.iter().map(|(kind, server)| (*kind, server.port(), Vec::new())).collect();
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", pages.argument());
            for (_, port, all) in &mut answered {
                all.push(http::ask(*port, pages, settings));
            }
        }
        let rates: Vec<_> = answered.into_iter().map(|(kind, _, all)| (kind, Summary::of(&all))).collect();
        print(pages, settings, &rates);
    }
}

fn print(pages: Pages, settings: Settings, rates: &[(Kind, Summary)]) {
    println!(
        "\n{}, {} connections: requests a second, milliseconds at p50 and p99",
        pages.argument(),
        settings.connections
    );
    for (kind, Summary { requests_per_second, p50, p99, .. }) in rates {
        println!("  {:<46} {requests_per_second:>8.0}  {:>7.2} {:>7.2}", kind.name(), p50 / 1e3, p99 / 1e3);
    }
    for sqlite in [false, true] {
        let of = |kinds: &[Kind]| {
            let these = rates.iter().filter(|(kind, _)| kinds.contains(kind) && kind.is_sqlite() == sqlite);
            these.map(|(_, rates)| rates.requests_per_second).fold(0.0, f64::max)
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
