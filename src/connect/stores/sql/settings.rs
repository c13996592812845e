//! The options that all SQL stores take.

use std::time::Duration;

use crate::connect::{error::ConnectError, options::Options};

/// What the URL says of the store. What it leaves out keeps the builder's default.
pub(super) struct Settings {
    pub(super) table: Option<String>,
    /// Whether the table is created, or upgraded, when the store is opened.
    pub(super) create: bool,
    pub(super) timeout: Option<Duration>,
    /// `Some(None)`: never.
    pub(super) sweep_interval: Option<Option<Duration>>,
    pub(super) cache: Option<usize>,
}

impl Settings {
    pub(super) const NAMES: [&'static str; 5] = ["table", "create", "timeout_ms", "sweep_interval_s", "cache"];

    pub(super) fn parse(options: &Options) -> Result<Self, ConnectError> {
        let sweep_interval = options.number("sweep_interval_s")?.map(Duration::from_secs);
        Ok(Self {
            table: options.text("table")?,
            create: options.word("create", &[("yes", true), ("no", false)])?.unwrap_or(false),
            timeout: options.number("timeout_ms")?.map(Duration::from_millis),
            sweep_interval: sweep_interval.map(|time| Some(time).filter(|time| !time.is_zero())),
            cache: options.number("cache")?,
        })
    }
}

/// The connections of a pool that the URL makes.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) struct Pool {
    pub(super) connections: u32,
    pub(super) connect_timeout: Duration,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Pool {
    pub(super) const NAMES: [&'static str; 2] = ["connections", "connect_timeout_ms"];

    pub(super) fn parse(options: &Options) -> Result<Self, ConnectError> {
        let connections = options.number("connections")?.unwrap_or(10);
        if !(1..=1_000).contains(&connections) {
            return Err(ConnectError::new(format!(
                "the store URL's option `connections` is {connections}: allowed is 1 to 1,000"
            )));
        }
        let connect_timeout = options.number("connect_timeout_ms")?.unwrap_or(5_000);
        if !(1..=60_000).contains(&connect_timeout) {
            return Err(ConnectError::new(format!(
                "the store URL's option `connect_timeout_ms` is {connect_timeout}: allowed is 1 ms to 60 s"
            )));
        }
        Ok(Self { connections, connect_timeout: Duration::from_millis(connect_timeout) })
    }
}
