//! The paths and domains that a request's cookie can have.

use std::net::Ipv4Addr;

/// At most this many paths are returned: cookies rarely have longer ones.
const MAX_PATHS: usize = 12;

/// At most this many domains are returned. If a host has more parents, the nearest ones are kept.
const MAX_DOMAINS: usize = 6;

/// Returns the configured path, and those that match the request's path (RFC 6265bis, section 5.1.4): each of its
/// prefixes that ends before or after a slash, the shortest first, without repetition.
pub(super) fn paths<'a>(configured: &'a str, request: Option<&'a str>) -> Vec<&'a str> {
    let mut paths = vec![configured];
    let mut add = |path: &'a str| {
        if !paths.contains(&path) && paths.len() < MAX_PATHS {
            paths.push(path);
        }
    };
    add("/");
    let Some(request) = request.filter(|path| is_path(path)) else { return paths };
    for (at, _) in request.match_indices('/').skip(1) {
        add(&request[..at]);
        add(&request[..=at]);
    }
    add(request);
    paths
}

/// Returns the configured domain (`None` for a host-only cookie), `None`, and the domains that match a `Host` header:
/// the host itself and its parents with at least two labels, without repetition.
pub(super) fn domains<'a>(configured: Option<&'a str>, host: Option<&'a str>) -> Vec<Option<&'a str>> {
    let mut domains = vec![configured];
    let mut add = |domain: Option<&'a str>| {
        if !domains.contains(&domain) && domains.len() < MAX_DOMAINS {
            domains.push(domain);
        }
    };
    add(None);
    let name = host.map(|host| host.split(':').next().unwrap_or_default());
    let mut rest = name.filter(|name| is_domain(name) && name.parse::<Ipv4Addr>().is_err());
    while let Some((domain, parent)) = rest.and_then(|domain| Some((domain, domain.split_once('.')?.1))) {
        add(Some(domain));
        rest = Some(parent);
    }
    domains
}

/// Whether this can be a cookie's path (RFC 6265bis, section 4.1.1).
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
}

/// Whether this can be a cookie's domain.
pub(super) fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    domain.split('.').all(is_label)
}
