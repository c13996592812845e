//! Whole requests with this crate's sessions beside other crates': what they cost, and what they keep.
//!
//! ```sh
//! cargo run --release -p bench-peers            # tables in Markdown
//! cargo run --release -p bench-peers -- --json  # the same for machines
//! ```
//!
//! `--repeat SUBJECT SCENARIO REQUESTS` sends that many and prints nothing, for a profiler. The instructions of one request
//! are the difference of two runs, by `valgrind --tool=callgrind`.
//!
//! An axum router is called directly, on one thread, all subjects in turn in one process, so that what else the machine
//! does falls on all of them. The allocator is the system's behind a counter, which takes some nanoseconds of each
//! allocation from everyone.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

mod call;
mod crowd;
mod gate;
mod measure;
mod races;
mod reference;
mod report;
mod scenario;
mod subjects;

use tokio::runtime::{Builder, Runtime};

use self::{report::Report, scenario::Scenario, subjects::Kind};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => println!("{}", run().markdown()),
        ["--json"] => println!("{:#}", run().json()),
        ["--crowd", name] => {
            let kind = Kind::named(name).expect("a subject's name");
            println!("{}", crowd::one(kind).map(|number| number.to_string()).join(" "));
        }
        ["--repeat", name, scenario, requests] => {
            let kind = Kind::named(name).expect("a subject's name");
            let scenario = Scenario::named(scenario).expect("a scenario's name");
            measure::repeat(&single(), kind, scenario, requests.parse().expect("a number of requests"));
        }
        _ => panic!("usage: bench-peers [--json | --repeat SUBJECT SCENARIO REQUESTS]"),
    }
}

fn run() -> Report {
    let costs = measure::costs(&single());
    Report { costs, crowds: crowd::all(), races: races::all() }
}

/// A runtime on this thread alone.
fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
