//! The schemes.

#[cfg(feature = "file")]
use super::file;
#[cfg(feature = "memcached")]
use super::memcached;
#[cfg(feature = "memory")]
use super::memory;
use super::observer::StoreObserver;
use crate::{
    connect::{
        error::{ConnectError, hint},
        url::StoreUrl,
    },
    store::DynStore,
};

const SCHEMES: [&str; 3] = ["memory", "file", "memcached"];

/// Opens the store of the URL's scheme.
#[cfg_attr(
    not(any(feature = "memory", feature = "file", feature = "memcached")),
    allow(unused_variables, reason = "no store is compiled in")
)]
pub(in crate::connect) async fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    match url.scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => memory::open(url, observer).await,
        #[cfg(feature = "file")]
        "file" => file::open(url, observer).await,
        #[cfg(feature = "memcached")]
        "memcached" => memcached::open(url, observer),
        known if SCHEMES.contains(&known) => Err(ConnectError::new(format!(
            "the store `{known}:` is not compiled in: enable the feature `{known}` of session-layer in Cargo.toml"
        ))),
        other => Err(unknown(other, url.target)),
    }
}

fn unknown(scheme: &str, target: &str) -> ConnectError {
    // `localhost:11211`
    let is_port = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
    let meant = if is_port { format!("write `memcached://{scheme}:{target}`? ") } else { hint(scheme, &SCHEMES) };
    ConnectError::new(format!(
        "the store URL's scheme `{scheme}:` is unknown: {meant}the schemes are memory, file and memcached"
    ))
}
