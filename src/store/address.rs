//! The address of a server.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

#[cfg(unix)]
use std::path::PathBuf;

/// A host and a port, or the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Address {
    /// Parses `host`, `host:port`, `127.0.0.1:6379`, `[::1]:6379`, `/run/server.sock` or `unix:/run/server.sock`. The
    /// error says what is wrong. A wrong host name is refused here, since it would otherwise be noticed only when it is
    /// looked up at the first request.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > 255 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("it must have 1 to 255 characters and no spaces");
        }
        if text.contains("://") && !text.starts_with("unix://") {
            return Err("a scheme is not allowed: write `host:port`");
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/memcached.sock` is also accepted.
            return Self::unix(path.strip_prefix("//").unwrap_or(path));
        }
        if text.starts_with('/') {
            return Self::unix(text);
        }
        if text.contains([',', ';', '|']) {
            return Err("pass each server separately; in a store URL, separate them by commas");
        }
        if text.contains('@') {
            return Err("user and password are not allowed here: use `credentials`");
        }
        match text.strip_prefix('[') {
            Some(rest) => Self::ipv6(rest, default_port),
            None => Self::name(text, default_port),
        }
    }

    /// Parses the part after a `[`.
    fn ipv6(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, rest) = text.split_once(']').ok_or("its `[` is not closed")?;
        let port = match rest {
            "" => default_port,
            rest => port(rest.strip_prefix(':').ok_or("a `]` is followed by `:port` or nothing")?)?,
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("the brackets contain no IPv6 address");
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    fn name(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, port) = match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err("an IPv6 address is in brackets: `[::1]` or `[::1]:PORT`");
            }
            Some((host, text)) => (host, port(text)?),
            None => (text, default_port),
        };
        check_host(host)?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    #[cfg(unix)]
    fn unix(path: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err("a socket's path is absolute: `/run/server.sock`");
        }
        if path.ends_with('/') {
            return Err("a socket's path does not end in `/`");
        }
        if std::os::unix::net::SocketAddr::from_pathname(path).is_err() {
            return Err("a socket's path must be shorter (on Linux, at most 107 bytes)");
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }

    #[cfg(not(unix))]
    fn unix(_: &str) -> Result<Self, &'static str> {
        Err("Unix sockets need a Unix system")
    }

    /// The server's name in libmemcached's ring. The port is left out if it is the default one.
    #[cfg(feature = "memcached")]
    pub(super) fn ring_name(&self, default_port: u16) -> String {
        match self {
            Self::Tcp { host, port } if *port == default_port => host.clone(),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            #[cfg(unix)]
            Self::Unix(path) => format!("{}:0", path.display()),
        }
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| is_number && port != 0);
    port.ok_or("its port is not between 1 and 65535")
}

/// Checks a DNS name (RFC 1123, section 2.1) or an IPv4 address. Underscores are allowed, since they are common in
/// container networks. A name whose last part is a number must be an IPv4 address, since resolvers read `11211` as
/// 0.0.43.203.
fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("the host is missing");
    }
    if !host.is_ascii() {
        return Err("a host name is ASCII: write the `xn--` form of other letters");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !name.split('.').all(is_label) {
        return Err("a host name has letters, digits, `-`, `_` and `.` between its parts");
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return Err("an IPv4 address has four numbers, and a port follows a host: `127.0.0.1:PORT`");
    }
    Ok(())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(all(test, feature = "memcached"))]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, shown, ring) in [
            ("cache", "cache:11211", "cache"),
            ("cache.example:11212", "cache.example:11212", "cache.example:11212"),
            ("127.0.0.1:11211", "127.0.0.1:11211", "127.0.0.1"),
            ("CACHE_1.example.", "CACHE_1.example.:11211", "CACHE_1.example."),
            ("localhost:1", "localhost:1", "localhost:1"),
            ("[::1]", "[::1]:11211", "::1"),
            ("[fe80::2]:4000", "[fe80::2]:4000", "fe80::2:4000"),
            ("/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
            ("unix:/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
            ("unix:///run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
        ] {
            let address = Address::parse(text, 11_211).expect(text);
            assert_eq!((address.to_string().as_str(), address.ring_name(11_211).as_str()), (shown, ring));
            assert_eq!(Address::parse(shown, 11_211), Ok(address));
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_right_form() {
        let long = format!("/{}", "s".repeat(200));
        for (texts, why) in [
            (&["", " ", "a b", "a\tb", "host\n", "a\0"][..], "no space"),
            (&["host:", "host:0", "host:65536", "host:x", "host:+80", "host:-1", "[::1]:", "[::1]:0"], "1 and 65535"),
            (&[":11211"], "host is missing"),
            (&["[::1"], "not closed"),
            (&["[::1]x", "[::1]11211"], "followed by"),
            (&["[]:1", "[host]:1", "[127.0.0.1]", "[fe80::1%eth0]"], "no IPv6 address"),
            (&["::1", "::1:11211", "2001:db8::3", "a:b:c", "a:1:2"], "in brackets"),
            (&["a,b", "a;b", "a:1;b:2", "a|b", "a,"], "separately"),
            (&["bob:hunter2@h", "@h", "bob@h:1"], "credentials"),
            (&["memcached://h", "tcp://h:1", "://"], "scheme is not allowed"),
            (
                &["a#shop", "a/shop", "a?x=1", "~/m.sock", "./m.sock", "run/m.sock", "$HOST", "*", "a&b", "a%2Fb"],
                "letters",
            ),
            (&["a..b", ".a", ".", "-a", "a-", "a.-b"], "letters"),
            (&["höst"], "xn--"),
            (&["11211", "127.1", "1.2.3", "300.1.1.1", "1.2.3.4.5", "0x7f000001", "127.0.0.1.", "a.1"], "four numbers"),
            (&["unix:", "unix:run", "unix://run/m.sock", "//run/m.sock", "unix:~/m.sock"], "absolute"),
            (&["/", "/run/", "unix:/"], "end in"),
            (&[&*long], "107 bytes"),
        ] {
            for text in texts {
                let refused = Address::parse(text, 11_211).expect_err(text);
                assert!(refused.contains(why), "{text:?}: {refused}");
            }
        }
    }
}
