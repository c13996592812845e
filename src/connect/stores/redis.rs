//! `redis://HOST`, and what else Redis and Valkey are reached by.

use super::{cached::cached, observer::StoreObserver};
use crate::{
    connect::error::ConnectError,
    store::{
        DynStore,
        redis::{read_url, url_schemes},
    },
    url::StoreUrl,
};

pub(super) fn schemes() -> impl Iterator<Item = &'static str> {
    url_schemes()
}

pub(super) fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let (builder, options) = read_url(url, &["cache"])?;
    let cache = options.number("cache")?;
    Ok(cached(cache, builder.build().map_err(|error| ConnectError::opening("redis", error))?, observer))
}
