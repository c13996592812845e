//! Detects requests over plain HTTP, as far as headers and URI show it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, Uri, header};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether a browser would drop a `Secure` cookie that the response sets: the request's `Host` is not a
/// loopback name, and nothing indicates TLS. Proxies' headers are used for this warning only.
///
/// A request without `Host` is usually HTTP/2, which browsers use over TLS only.
pub(super) fn is_plain_http(headers: &HeaderMap, uri: Option<&Uri>) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| !host.is_empty() && !is_loopback(host)) && !came_over_tls(headers, uri)
}

fn came_over_tls(headers: &HeaderMap, uri: Option<&Uri>) -> bool {
    // Browsers send this header only to trustworthy origins (Fetch Metadata, section 2).
    headers.contains_key(SEC_FETCH_SITE)
        || uri.and_then(Uri::scheme_str).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        || parts(headers, &X_FORWARDED_PROTO, &[',']).any(|proto| proto.eq_ignore_ascii_case("https"))
        || parts(headers, &header::FORWARDED, &[',', ';']).any(forwards_https)
}

/// Splits a header's values into parts and trims the whitespace around them.
fn parts<'a>(headers: &'a HeaderMap, name: &HeaderName, at: &'static [char]) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(move |value| value.split(at)).map(str::trim)
}

/// Whether a pair is `proto=https`, quoted or not (RFC 7239, section 5.4).
fn forwards_https(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("proto") && value.trim().trim_matches('"').eq_ignore_ascii_case("https")
    })
}

/// Whether a `Host` names the machine itself: `localhost` and its subdomains (RFC 6761, section 6.3), 127.0.0.0/8, ::1.
fn is_loopback(host: &str) -> bool {
    let host = host.trim();
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::V6(address).to_canonical().is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || name.rsplit('.').next().is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_plain(lines: &[(&'static str, &str)], uri: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        is_plain_http(&headers, uri.map(Uri::from_static).as_ref())
    }

    #[test]
    fn loopback_names_are_silent_and_others_are_not() {
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "localhost.",
            "a.b.localhost:80",
            "127.0.0.1",
            "127.1.2.3:8080",
            "[::1]",
            "[::1]:3000",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(!is_plain(&[("host", host)], None), "{host}");
        }
        for host in [
            "example.org",
            "192.168.1.7:3000",
            "10.0.0.1",
            "localhost.example.org",
            "notlocalhost",
            "128.0.0.1",
            "[::2]",
            "box.local",
            "127.0.0.1.example.org",
            "0.0.0.0:3000",
        ] {
            assert!(is_plain(&[("host", host)], None), "{host}");
        }
        assert!(!is_plain(&[], None), "no host");
        assert!(!is_plain(&[("host", "")], None), "an empty one");
        assert!(!is_plain(&[("host", "\u{e9}.example")], None), "no text");
    }

    #[test]
    fn a_request_that_shows_tls_in_front_causes_no_warning() {
        for (name, value) in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-proto", "http,https"),
            ("forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43"),
            ("forwarded", "for=a, for=b; Proto=\"https\""),
            ("sec-fetch-site", "none"),
        ] {
            assert!(!is_plain(&[("host", "example.org"), (name, value)], None), "{name}: {value}");
        }
        for (name, value) in [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "nohttps"),
            ("forwarded", "for=192.0.2.60;proto=http"),
            ("forwarded", "for=https"),
            ("x-forwarded-for", "https"),
            ("origin", "http://example.org"),
        ] {
            assert!(is_plain(&[("host", "example.org"), (name, value)], None), "{name}: {value}");
        }
        assert!(!is_plain(&[("host", "example.org")], Some("https://example.org/")));
        assert!(is_plain(&[("host", "example.org")], Some("http://example.org/")));
        assert!(is_plain(&[("host", "example.org")], Some("/https")));
    }
}
