//! `memcached://HOST,HOST/PREFIX`.

use std::time::Duration;

use super::{cached::cached, observer::StoreObserver};
use crate::{
    connect::error::ConnectError,
    store::{DynStore, ListPolicy, MemcachedStore},
    url::{StoreUrl, decode},
};

const OPTIONS: [&str; 5] = ["timeout_ms", "connect_timeout_ms", "connections", "list", "cache"];

pub(super) fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let options = url.options(&OPTIONS)?;
    let (servers, prefix) = parts(url.target)?;
    let mut builder = MemcachedStore::builder().servers(servers);
    if let Some(prefix) = prefix {
        builder = builder.prefix(prefix);
    }
    if let Some(millis) = options.number("timeout_ms")? {
        builder = builder.request_timeout(Duration::from_millis(millis));
    }
    if let Some(millis) = options.number("connect_timeout_ms")? {
        builder = builder.connect_timeout(Duration::from_millis(millis));
    }
    if let Some(connections) = options.number("connections")? {
        builder = builder.connections(connections);
    }
    let policies = [("ignore", ListPolicy::Ignore), ("warn", ListPolicy::Warn), ("error", ListPolicy::Error)];
    if let Some(policy) = options.word("list", &policies)? {
        builder = builder.list_policy(policy);
    }
    let cache = options.number("cache")?;
    Ok(cached(cache, builder.build().map_err(|error| ConnectError::opening("memcached", error))?, observer))
}

/// Returns the servers, and the prefix with its colon.
fn parts(target: &str) -> Result<(Vec<String>, Option<String>), ConnectError> {
    let wrong = |what: String| Err(ConnectError::new(what));
    if target.contains('@') {
        return Err(secrets());
    }
    let Some(target) = target.strip_prefix("//") else {
        let meant = match target {
            "" => "memcached://HOST".to_owned(),
            path if path.starts_with('/') => format!("memcached://{}", encoded(path)),
            host => format!("memcached://{host}"),
        };
        return wrong(format!("the store URL `memcached:` has no `//`: write `{meant}`"));
    };
    let (servers, prefix) = match target.split_once('/') {
        Some((servers, prefix)) => (servers, Some(prefix)),
        None => (target, None),
    };
    let rest = prefix.filter(|prefix| !prefix.is_empty());
    if let (Some(rest), true) = (rest, servers.is_empty() || servers.ends_with("unix:")) {
        let path = format!("/{}", rest.trim_start_matches('/'));
        return wrong(format!(
            "the store URL names no server before {path:?}: write `memcached://{}` for a Unix socket, or \
             `memcached://HOST{path}` for a prefix of the keys",
            encoded(&path)
        ));
    }
    if target.contains("://") {
        return wrong(
            "the store URL has a second scheme: write `memcached://HOST,HOST/PREFIX`, the scheme once".to_owned(),
        );
    }
    if servers.is_empty() {
        return wrong("the store URL names no server: write `memcached://HOST`, such as 127.0.0.1".to_owned());
    }
    let servers = servers.split(',').map(server).collect::<Result<_, _>>()?;
    Ok((servers, prefix.map(key_prefix).transpose()?))
}

fn server(text: &str) -> Result<String, ConnectError> {
    if text.is_empty() {
        return Err(ConnectError::new(
            "the store URL has an empty server in its list: write `memcached://HOST,HOST`, with commas only between \
             servers",
        ));
    }
    let server = decode(text)?;
    if server.contains('@') { Err(secrets()) } else { Ok(server.into_owned()) }
}

fn key_prefix(text: &str) -> Result<String, ConnectError> {
    let wrong = |what: &str| Err(ConnectError::new(format!("the store URL's prefix {text:?} {what}")));
    if text.is_empty() {
        return Err(ConnectError::new(
            "the store URL ends in `/` and no prefix follows: remove it, or write `memcached://HOST/PREFIX`",
        ));
    }
    if text.contains('/') {
        return wrong("has a `/`: write one word after the servers, or `%2F` for the character");
    }
    if text.contains([',', ';', '&', '=']) {
        return wrong(
            "has a separator: write `memcached://HOST,HOST/PREFIX?OPTION=VALUE`, or its percent-encoded form (a \
             comma is `%2C`) for the character",
        );
    }
    if text.ends_with(':') {
        return wrong("ends in a colon, and one is added: remove it, or write `%3A` for the character");
    }
    Ok(format!("{}:", decode(text)?))
}

fn secrets() -> ConnectError {
    ConnectError::new(
        "secrets are not taken from the store URL: use `MemcachedStore::builder().credentials(user, password)`",
    )
}

/// Returns a path in the form that a URL needs in the place of a server.
fn encoded(path: &str) -> String {
    path.replace('/', "%2F")
}
