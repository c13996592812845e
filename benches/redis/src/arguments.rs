//! The command line.

use bench_support::http::Pages;
use clap::{Parser, Subcommand};

use crate::{operations::Kind, subject::Subject};

/// Compares the Redis store with a bare connection and, over HTTP, with other crates' Redis stores.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Measure for a moment only, to see that everything works.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// The numbers of concurrent tasks and connections, instead of 1, 16, 64 and 256.
    #[arg(long, global = true, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) crowds: Vec<usize>,
    /// The number of the store's connections, instead of its default.
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) connections: Option<usize>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures only operations, without HTTP.
    Operations,
    /// Measures only requests over HTTP.
    Http,
    /// Repeats one kind of operation, for a profiler.
    Repeat {
        kind: Kind,
        #[arg(long, default_value_t = 64)]
        tasks: usize,
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    #[command(hide = true)]
    ChildServe { subject: Subject, redis: u16 },
    #[command(hide = true)]
    ChildLoad { port: u16, pages: Pages, visitors: usize, seconds: f64 },
}
