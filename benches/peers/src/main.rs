//! Compares whole requests with this crate's sessions and other crates': what they cost, and what they keep.
//!
//! `benches/README.md` describes the commands. An axum router is called directly, on one thread. All subjects take
//! turns in one process, so that whatever else the machine does affects all of them. The allocator is the system's
//! behind a counter, which adds some nanoseconds to each allocation of every subject.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what it is for")]

mod arguments;
mod effort;
mod machine;
mod measure;
mod memcached;
mod memory;
mod over_http;
mod plot;
mod races;
mod report;
mod scenario;
mod subjects;
mod threads;

use std::{process::ExitCode, time::Duration};

use bench_support::{
    app, call, child, gate,
    http::{self, Settings},
    runtime, shape,
};
use clap::Parser;
use serde::Serialize;

use self::{
    arguments::{Arguments, Command},
    effort::Effort,
    report::{Growth, MemoryReport, OverHttp, Report, Table},
    subjects::Subject,
};

fn main() -> ExitCode {
    let Arguments { json, plot, quick, command } = Arguments::parse();
    let report: Box<dyn Report> = match command.unwrap_or(Command::Table) {
        Command::Memory => Box::new(MemoryReport::measure(quick)),
        Command::Repeat { kind, scenario, requests } => {
            measure::repeat(&runtime::single(), kind, scenario, requests);
            return ExitCode::SUCCESS;
        }
        Command::ChildMemory { kind, sessions } => return answer(&memory::one(kind, sessions)),
        Command::ChildThreads { kind, sessions, scenarios } => {
            return answer(&threads::one(kind, sessions, &scenarios, Effort::of(quick)));
        }
        Command::ChildServe { kind } => {
            http::serve(async {
                let subject = Subject::new(kind, shape::Shape::Reference).await;
                (subject.router.clone(), subject)
            });
            return ExitCode::SUCCESS;
        }
        Command::ChildLoad { port, pages, connections, seconds } => {
            let settings = Settings { connections, time: Duration::from_secs_f64(seconds) };
            return answer(&http::load(port, pages, settings));
        }
        _ if memcached::version().is_none() => {
            eprintln!("memcached is not installed, and one of the stores is measured over it. On Debian:\n");
            eprintln!("    {}", memcached::INSTALL);
            return ExitCode::FAILURE;
        }
        Command::Table => Box::new(Table::measure(quick)),
        Command::Grow { most } => Box::new(Growth::measure(most, quick)),
        Command::Http { connections, seconds } => {
            let settings = Settings { connections, time: Duration::from_secs_f64(seconds) };
            Box::new(OverHttp::measure(settings, quick))
        }
    };
    if json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.markdown());
    }
    if let Some(file) = plot
        && let Err(error) = std::fs::write(&file, report.plot())
    {
        eprintln!("{}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints a child's answer for its parent.
fn answer(value: &impl Serialize) -> ExitCode {
    println!("{}", serde_json::to_string(value).expect("it has no map with other keys than strings"));
    ExitCode::SUCCESS
}

/// Prints what is being measured.
fn progress(what: &str) {
    eprintln!("{what} ...");
}
