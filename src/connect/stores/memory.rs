//! `memory:`, which takes options only.

use std::time::Duration;

use super::observer::StoreObserver;
use crate::{
    connect::error::ConnectError,
    store::{DynStore, MemoryStore, MemoryStoreBuilder},
    url::StoreUrl,
};

const OPTIONS: [&str; 5] = ["capacity", "bytes", "snapshot", "snapshot_interval_s", "sweep_interval_s"];

pub(super) async fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let options = url.options(&OPTIONS)?;
    check_target(url.target)?;
    let mut builder = observer.into_iter().fold(MemoryStore::builder(), MemoryStoreBuilder::observe);
    if let Some(sessions) = options.number("capacity")? {
        builder = builder.capacity(sessions);
    }
    if let Some(bytes) = options.number("bytes")? {
        builder = builder.bytes(bytes);
    }
    if let Some(path) = options.path("snapshot")? {
        builder = builder.snapshot_path(path);
    }
    if let Some(seconds) = options.number("snapshot_interval_s")? {
        builder = builder.snapshot_interval(Duration::from_secs(seconds));
    }
    if let Some(seconds) = options.number("sweep_interval_s")? {
        builder = builder.sweep_interval(Duration::from_secs(seconds));
    }
    // Opening reads the snapshot, which blocks.
    let opened = tokio::task::spawn_blocking(move || builder.open()).await;
    let opened = opened.map_err(|error| ConnectError::opening("memory", error))?;
    opened.map(DynStore::new).map_err(|error| ConnectError::opening("memory", error))
}

fn check_target(target: &str) -> Result<(), ConnectError> {
    if target.is_empty() {
        return Ok(());
    }
    // A target with an `@` may contain a password, so it is not repeated.
    let given = if target.contains('@') { "one".to_owned() } else { format!("{target:?}") };
    let meant = if target.contains('=') { "`?` before the options" } else { "`memory:`" };
    Err(ConnectError::new(format!(
        "the store URL `memory:` takes no path, but has {given}: write {meant}, or `memory:?snapshot=PATH` for a \
         snapshot"
    )))
}
