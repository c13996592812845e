//! Compares the SQL store with other crates' stores and with bare statements, over PostgreSQL and SQLite.
//!
//! ```text
//! cargo run --release --manifest-path benches/sql/Cargo.toml            # through HTTP, 32 connections
//! cargo run --release --manifest-path benches/sql/Cargo.toml -- grow    # reads over 1,000 to 1,000,000 rows
//! cargo run --release --manifest-path benches/sql/Cargo.toml -- writes  # durable writes to SQLite, without HTTP
//! ```
//!
//! Each subject is a server with one thread in its own process, under load from another process. The subjects take
//! turns, in several rounds. The bench starts its own PostgreSQL server, which syncs each commit, as it does by
//! default.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints tables")]
#![allow(clippy::cast_precision_loss, reason = "rates are rounded anyway")]
#![allow(clippy::unwrap_used, reason = "a bench ends where something fails")]

mod database;
mod grow;
mod over_http;
#[path = "../../../tests/support/sql.rs"]
mod server;
mod subjects;
mod writes;

use std::time::Duration;

use bench_support::http::{self, Pages, Settings};
use clap::{Parser, Subcommand};

use self::subjects::Kind;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Number of connections. Each sends a request as soon as the previous one is answered.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of load on each subject in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Don't let PostgreSQL sync, so that processor time is measured.
    #[arg(long)]
    no_sync: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Reads and writes over tables of different sizes.
    Grow {
        /// Largest number of rows.
        #[arg(long, default_value_t = 1_000_000)]
        most: usize,
        /// Measure only this database: `own` (PostgreSQL) or `own-sqlite`.
        #[arg(long)]
        only: Option<Kind>,
    },
    /// Durable writes to SQLite by 1 and by 32 tasks, without HTTP.
    Writes,
    #[command(hide = true)]
    ChildServe { kind: Kind, place: String },
    #[command(hide = true)]
    ChildLoad { port: u16, pages: Pages, connections: usize, seconds: f64 },
}

fn main() {
    let Arguments { command, connections, seconds, rounds, no_sync } = Arguments::parse();
    match command {
        None => over_http::compare(
            Settings { connections, time: Duration::from_secs_f64(seconds) },
            rounds,
            &database::Place::new(no_sync),
        ),
        Some(Command::Grow { most, only }) => grow::grow(most, only, &database::Place::new(no_sync)),
        Some(Command::Writes) => writes::compare(rounds),
        Some(Command::ChildServe { kind, place }) => over_http::serve(kind, &place),
        Some(Command::ChildLoad { port, pages, connections, seconds }) => {
            let settings = Settings { connections, time: Duration::from_secs_f64(seconds) };
            let answered = http::load(port, pages, settings);
            println!("{}", serde_json::to_string(&answered).unwrap());
        }
    }
}
