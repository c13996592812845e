//! `file:DIR`.

use std::{io, path::Path, time::Duration};

use super::{cached::cached, observer::StoreObserver};
use crate::{
    connect::error::ConnectError,
    store::{Durability, DynStore, FileStore, FileStoreBuilder, FileStoreError},
    url::{self, StoreUrl},
};

const OPTIONS: [&str; 4] = ["durability", "create", "sweep_interval_s", "cache"];

pub(super) async fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let options = url.options(&OPTIONS)?;
    let dir = url::path(directory(url.target)?)?;
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

/// Returns the directory's path: `file:/var/lib/x`, `file:x`, and, as in RFC 8089, `file:///var/lib/x` and
/// `file://localhost/var/lib/x`.
fn directory(target: &str) -> Result<&str, ConnectError> {
    let path = match target.strip_prefix("//") {
        None => target,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match host {
                _ if host.contains('@') => {
                    return Err(ConnectError::new(
                        "the store URL `file:` takes no user, password or host: write `file:/DIR`",
                    ));
                }
                "" => path,
                host if host.eq_ignore_ascii_case("localhost") => path,
                host => {
                    return Err(ConnectError::new(format!(
                        "the store URL names the host {host:?}, but files are local: write \
                         `file:/{host}{path}`, or `file:{host}{path}` for a path from the working directory"
                    )));
                }
            }
        }
    };
    if path.is_empty() {
        return Err(ConnectError::new("the store URL `file:` names no directory: write `file:DIR`"));
    }
    if path.bytes().all(|byte| byte == b'/') {
        return Err(ConnectError::new(
            "the store URL `file:` names the root directory: write `file:/DIR`, a directory for the sessions only",
        ));
    }
    if let Some(found) = path.chars().find(|c| matches!(c, '&' | ';')) {
        return Err(ConnectError::new(format!(
            "the store URL's path has a `{found}`: write `?` before the options, or `%{:02X}` for the character",
            u32::from(found)
        )));
    }
    Ok(path)
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
