//! The command line.

use std::path::PathBuf;

use bench_support::http::Pages;
use clap::{Parser, Subcommand};

use crate::{scenario::Scenario, subjects::Kind};

/// Whole requests with this crate's sessions compared with other crates': what they cost, and what they keep.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write a plot of the same run to this file, as SVG.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Measure only enough to check that it works.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every scenario for every subject, the races, and the budgets: the default command.
    Table,
    /// How the cost grows with the size of a session, with their number, and with the threads.
    Grow {
        /// The most sessions.
        #[arg(long, default_value_t = 1_000_000)]
        most: usize,
    },
    /// Requests a second and latencies over HTTP/1.1.
    Http {
        /// The number of concurrent connections.
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// How long each subject is loaded with each kind of pages, in each round.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Resident bytes of a session, of 100,000 and of 1,000,000.
    Memory,
    /// Sends this many requests and prints nothing, for a profiler.
    Repeat { kind: Kind, scenario: Scenario, requests: usize },
    #[command(hide = true)]
    ChildMemory { kind: Kind, sessions: usize },
    #[command(hide = true)]
    ChildThreads { kind: Kind, sessions: usize, scenarios: Vec<Scenario> },
    #[command(hide = true)]
    ChildServe { kind: Kind },
    #[command(hide = true)]
    ChildLoad { port: u16, pages: Pages, connections: usize, seconds: f64 },
}
