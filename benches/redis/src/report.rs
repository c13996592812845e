//! Markdown tables with the budgets.

use bench_support::{
    markdown::{table, thousands, time},
    measure::median,
};

use crate::{operations::Rates, over_http::Loaded, subject::Subject};

/// The lowest acceptable ratio of the store's rate to that of a bare connection.
const OF_BARE: f64 = 0.85;
/// The lowest acceptable ratio to the best peer's rate.
const OF_PEER: f64 = 1.5;

/// The table of operations per second.
pub(crate) fn rates(all: &[Rates]) -> String {
    let mut budgets = Vec::new();
    let rows: Vec<_> = all
        .iter()
        .map(|rates| {
            let cells = [
                thousands(median(rates.rounds.clone())),
                range(&rates.rounds),
                format!("{:.1} µs", rates.client),
                format!("{:.1} µs", rates.server),
            ];
            (format!("{}, {}", of(rates.tasks, "task"), rates.kind.name()), cells.into())
        })
        .collect();
    for rates in all {
        for compared in rates.kind.compared() {
            let same = |other: &&Rates| other.tasks == rates.tasks && other.kind == *compared;
            let other = all.iter().find(same).expect("all kinds are measured");
            let name = format!("{}, {} beside {}", of(rates.tasks, "task"), rates.kind.name(), compared.name());
            budgets.push(budget(name, ratio(&rates.rounds, &other.rounds), OF_BARE));
        }
    }
    let head = ["operations a second", "lowest to highest", "processor here", "in Redis"];
    format!("{}\n{}", table(&head, rows), verdicts(budgets))
}

/// The table of requests per second and latencies.
pub(crate) fn loads(all: &[Loaded]) -> String {
    let rows = all.iter().map(|loaded| {
        let cells = [
            thousands(loaded.all.requests_per_second),
            range(&loaded.rounds),
            time(loaded.all.p50),
            time(loaded.all.p99),
            time(loaded.subject_time),
            time(loaded.redis_time),
        ];
        (
            format!("{}, {}, {}", loaded.pages.name(), of(loaded.connections, "connection"), loaded.subject.name()),
            cells.into(),
        )
    });
    let head = ["requests a second", "lowest to highest", "median", "99th percentile", "processor here", "in Redis"];
    let table = table(&head, rows);
    let mut budgets = Vec::new();
    for loaded in all {
        let is_peer = |other: &&Loaded| {
            loaded.subject.peers().contains(&other.subject)
                && (other.pages, other.connections) == (loaded.pages, loaded.connections)
        };
        let rate = |loaded: &&Loaded| loaded.all.requests_per_second;
        let best = all.iter().filter(is_peer).max_by(|one, other| rate(one).total_cmp(&rate(other)));
        let Some(best) = best else { continue };
        let crowd = of(loaded.connections, "connection");
        let name =
            format!("{}, {crowd}, {} beside {}", loaded.pages.name(), loaded.subject.name(), best.subject.name());
        let ratio = ratio(&loaded.rounds, &best.rounds);
        budgets.push(match loaded.subject {
            Subject::Bare => (name, vec![format!("×{ratio:.2}"), String::new(), "the floor".to_owned()]),
            _ => budget(name, ratio, OF_PEER),
        });
    }
    format!("{table}\n{}", verdicts(budgets))
}

fn budget(name: String, ratio: f64, least: f64) -> (String, Vec<String>) {
    let verdict = if ratio >= least { "PASS" } else { "FAIL" };
    (name, vec![format!("×{ratio:.2}"), format!("×{least:.2}"), verdict.to_owned()])
}

fn verdicts(budgets: Vec<(String, Vec<String>)>) -> String {
    table(&["ratio", "at least", ""], budgets)
}

/// The median of the rounds' ratios: anything else on the machine affects both sides.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

fn range(rounds: &[f64]) -> String {
    let lowest = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = rounds.iter().copied().fold(0.0, f64::max);
    format!("{} to {}", thousands(lowest), thousands(highest))
}

fn of(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
