//! Compares the Redis store with a bare connection and, over HTTP, with other crates' Redis stores, in one run on a
//! server that it starts itself.
//!
//! ```text
//! cargo run --release -p bench-redis
//! ```
//!
//! `benches/README.md` describes the tables.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints tables")]
#![allow(clippy::cast_precision_loss, reason = "rates are rounded anyway")]

mod arguments;
mod bare;
mod effort;
mod operations;
mod over_http;
mod report;
mod server;
mod subject;

use std::{process::ExitCode, time::Duration};

use bench_support::{
    http::{self, Settings},
    machine::Machine,
};
use clap::Parser;

use self::{
    arguments::{Arguments, Command},
    effort::Effort,
};

/// The packages whose versions are printed.
const PACKAGES: [&str; 9] = [
    "axum",
    "tokio",
    "redis",
    "fred",
    "tower-sessions",
    "tower-sessions-redis-store",
    "axum_session",
    "axum_session_redispool",
    "redis_pool",
];

fn main() -> ExitCode {
    let Arguments { quick, crowds, connections, command } = Arguments::parse();
    let effort = Effort::of(quick);
    let crowds = if crowds.is_empty() { effort.crowds.to_vec() } else { crowds };
    let Some(version) = server::version() else {
        eprintln!("redis-server is not installed. On Debian:\n\n    {}", server::INSTALL);
        return ExitCode::FAILURE;
    };
    match command {
        None => {
            print!(
                "{}\n{}",
                report::rates(&operations::measure(&crowds, connections, effort)),
                report::loads(&over_http::measure(&crowds, connections, effort))
            );
        }
        Some(Command::Operations) => print!("{}", report::rates(&operations::measure(&crowds, connections, effort))),
        Some(Command::Http) => print!("{}", report::loads(&over_http::measure(&crowds, connections, effort))),
        Some(Command::Repeat { kind, tasks, seconds }) => {
            operations::repeat(kind, tasks, connections, Duration::from_secs_f64(seconds));
            return ExitCode::SUCCESS;
        }
        Some(Command::ChildServe { subject, redis }) => {
            http::serve(async { (subject.router(redis, connections).await, ()) });
            return ExitCode::SUCCESS;
        }
        Some(Command::ChildLoad { port, pages, visitors, seconds }) => {
            let settings = Settings { connections: visitors, time: Duration::from_secs_f64(seconds) };
            let answered = http::load(port, pages, settings);
            println!("{}", serde_json::to_string(&answered).expect("numbers can be JSON"));
            return ExitCode::SUCCESS;
        }
    }
    println!("\n{}", Machine::here(&PACKAGES, [version]).line());
    ExitCode::SUCCESS
}

/// Reports what is being measured.
fn progress(what: &str) {
    eprintln!("{what} ...");
}
