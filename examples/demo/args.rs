//! The command line.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Parser, value_parser};
use session_layer::{Lifetime, LifetimeError};

const DAY: u64 = 24 * 60 * 60;

/// A small shop that shows what sessions do: pages for people, and an interface for tests.
#[derive(Debug, Parser)]
#[command(name = "demo")]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,

    /// The store of the sessions: memory:, file:DIR, memcached://HOST:PORT, redis://HOST, postgres://, mysql:// or sqlite:PATH (these need the feature of that name)
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) store: String,

    /// Drop `Secure` and the `__Host-` prefix, for clients that send no secure cookie over plain HTTP
    #[arg(long)]
    pub(crate) plain_http: bool,

    /// How long a session lives without use, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60 * 60, value_parser = value_parser!(u64).range(1..=400 * DAY))]
    pub(crate) idle: u64,

    /// How long a session lives at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DAY, value_parser = value_parser!(u64).range(1..=400 * DAY))]
    pub(crate) absolute: u64,

    /// Seal the records and sign the cookie with the secrets of this file: base64, one a line, of which the first writes
    #[arg(long, value_name = "PATH")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Keep this many sessions in a cache in front of the store
    #[arg(long, value_name = "SESSIONS")]
    pub(crate) cache: Option<NonZeroUsize>,

    /// Let requests of one session run one after another; one that waits longer than 10 seconds is answered 423
    #[arg(long)]
    pub(crate) exclusive: bool,
}

impl Args {
    /// How long a session lives unless it is a remembered login.
    pub(crate) fn lifetime(&self) -> Result<Lifetime, LifetimeError> {
        Lifetime::new(Duration::from_secs(self.idle), Duration::from_secs(self.absolute))
    }
}
