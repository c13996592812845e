//! The command line.

use bench_support::http::Pages;
use clap::{Parser, Subcommand};

use crate::{operations::Kind, subject::Subject};

/// The Redis store beside a bare connection, and through HTTP beside other crates' Redis stores.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Measure too little to tell anything but that it works.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Tasks and connections at a time, in place of 1, 16, 64 and 256.
    #[arg(long, global = true, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) crowds: Vec<usize>,
    /// How many connections the store has, in place of its default.
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) connections: Option<usize>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Only operations without HTTP.
    Operations,
    /// Only requests through HTTP.
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
