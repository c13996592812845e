//! `redis://HOST`, and what else Redis and Valkey are reached by.

use super::{ConnectError, DynStore, StoreUrl, Told, cached};
use crate::store::redis::{read_url, url_schemes};

pub(super) fn schemes() -> impl Iterator<Item = &'static str> {
    url_schemes()
}

pub(super) fn open(url: &StoreUrl<'_>, told: Told) -> Result<DynStore, ConnectError> {
    let (builder, options) = read_url(url, &["cache"])?;
    let cache = options.number("cache")?;
    Ok(cached(cache, builder.build().map_err(|error| ConnectError::opening("redis", error))?, told))
}
