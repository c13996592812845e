//! `file:DIR`.

use std::{io, path::Path, time::Duration};

use super::{
    cached::cached,
    local::{self, Form},
    observer::StoreObserver,
};
use crate::{
    connect::error::ConnectError,
    store::{Durability, DynStore, FileStore, FileStoreBuilder, FileStoreError},
    url::{self, StoreUrl},
};

const OPTIONS: [&str; 4] = ["durability", "create", "sweep_interval_s", "cache"];

const FORM: Form =
    Form { scheme: "file", placeholder: "DIR", what: "directory", of: "a directory for the sessions only" };

pub(super) async fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let options = url.options(&OPTIONS)?;
    let dir = url::path(local::path(url.target, &FORM)?)?;
    let mut builder = observer.iter().cloned().fold(FileStore::builder(&*dir), FileStoreBuilder::observe);
    let durabilities = [("none", Durability::None), ("data", Durability::Data), ("full", Durability::Full)];
    if let Some(durability) = options.word("durability", &durabilities)? {
        builder = builder.durability(durability);
    }
    if let Some(seconds) = options.number("sweep_interval_s")? {
        builder = builder.sweep_interval(Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero()));
    }
    let create = options.word("create", &[("yes", true), ("no", false)])?.unwrap_or(false);
    let cache = options.number("cache")?;
    let opened = if create { builder.create().await } else { builder.open().await };
    Ok(cached(cache, opened.map_err(|error| failed(Path::new(&*dir), create, error))?, observer))
}

/// Says why the store can't be opened. If only its directory is missing, says how to create it.
fn failed(dir: &Path, create: bool, error: FileStoreError) -> ConnectError {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    // A dangling link does exist, so `create=yes` would not help.
    let dir_is_missing = std::fs::symlink_metadata(dir).is_err_and(|error| is_missing(&error));
    let reason = error.io_error().filter(|reason| is_missing(reason) && dir_is_missing && !create);
    let missing = reason.map(|reason| {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        format!(
            "the file store's directory {} is missing ({reason}): create it, or add the option `create=yes` to the \
             store URL",
            dir.display()
        )
    });
    let opening = ConnectError::opening("file", error);
    match missing {
        Some(missing) => opening.saying(missing),
        None => opening,
    }
}
