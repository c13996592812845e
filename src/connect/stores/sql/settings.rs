//! The options that all SQL stores take.

use std::time::Duration;

use super::super::{cached::cached, observer::StoreObserver};
use crate::{
    connect::error::ConnectError,
    store::{DynStore, SqlStoreBuilder, SqlStoreError},
    url::Options,
};

pub(super) const YES_NO: [(&str, bool); 2] = [("yes", true), ("no", false)];

/// The options of the store in a URL. An option that is absent keeps the builder's default.
pub(super) struct Settings {
    pub(super) table: Option<String>,
    /// Whether opening the store creates the table, and SQLite's file, if they are missing. Default: no.
    pub(super) create: bool,
    pub(super) timeout: Option<Duration>,
    /// `Some(None)` if the store must not sweep.
    pub(super) sweep_interval: Option<Option<Duration>>,
    pub(super) cache: Option<usize>,
}

impl Settings {
    pub(super) const NAMES: [&'static str; 5] = ["table", "create", "timeout_ms", "sweep_interval_s", "cache"];

    pub(super) fn parse(options: &Options) -> Result<Self, ConnectError> {
        let sweep_interval = options.number("sweep_interval_s")?.map(Duration::from_secs);
        Ok(Self {
            table: options.text("table")?,
            create: options.word("create", &YES_NO)?.unwrap_or(false),
            timeout: options.number("timeout_ms")?.map(Duration::from_millis),
            sweep_interval: sweep_interval.map(|time| Some(time).filter(|time| !time.is_zero())),
            cache: options.number("cache")?,
        })
    }

    /// Applies the settings to a builder and opens the store.
    pub(super) async fn open(
        self,
        name: &str,
        mut builder: SqlStoreBuilder,
        observer: StoreObserver,
    ) -> Result<DynStore, ConnectError> {
        builder = observer.iter().cloned().fold(builder, SqlStoreBuilder::observe);
        if let Some(table) = self.table {
            builder = builder.table(table);
        }
        if let Some(limit) = self.timeout {
            builder = builder.request_timeout(limit);
        }
        if let Some(interval) = self.sweep_interval {
            builder = builder.sweep_interval(interval);
        }
        let opened = if self.create { builder.create().await } else { builder.open().await };
        Ok(cached(self.cache, opened.map_err(|error| failed(name, self.create, error))?, observer))
    }
}

/// The size of the connection pool. Default: 10.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn connections(options: &Options) -> Result<u32, ConnectError> {
    let connections = options.number("connections")?.unwrap_or(10);
    if (1..=1_000).contains(&connections) {
        return Ok(connections);
    }
    Err(ConnectError::new(format!("the store URL's option `connections` is {connections}: allowed is 1 to 1,000")))
}

/// Converts the error of opening the store. If the table is missing, the message says how to create it.
fn failed(store: &str, create: bool, error: SqlStoreError) -> ConnectError {
    let hint = !create && error.is_missing();
    let opening = ConnectError::opening(store, error);
    if !hint {
        return opening;
    }
    let message = format!("{opening}; to create it, add the option `create=yes` to the store URL");
    opening.saying(message)
}
