//! Where a memcached server listens.

use std::fmt;

#[cfg(unix)]
use std::path::PathBuf;

/// The port that memcached listens on if it is told no other.
pub(super) const DEFAULT_PORT: u16 = 11_211;

/// A host and a port, or the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Address {
    /// Reads `host`, `host:port`, `127.0.0.1:11211`, `::1`, `[::1]:11211`, `/run/memcached.sock` or
    /// `unix:/run/memcached.sock`. The error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > 255 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("it has 1 to 255 characters and no space");
        }
        let path = text.strip_prefix("unix:").or(text.starts_with('/').then_some(text));
        if let Some(path) = path {
            return Self::unix(path);
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or("its `[` is not closed")?;
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':').ok_or("a `]` is followed by `:port` or nothing")?)),
            }
        } else if text.matches(':').count() > 1 {
            // A bare IPv6 address: a port would need brackets.
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or("its port is not between 1 and 65535")?,
        };
        if host.is_empty() {
            return Err("it has no host");
        }
        if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("it is neither `host:port` nor an IPv6 address");
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    #[cfg(unix)]
    fn unix(path: &str) -> Result<Self, &'static str> {
        if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err("a socket's path is absolute") }
    }

    #[cfg(not(unix))]
    fn unix(_: &str) -> Result<Self, &'static str> {
        Err("Unix sockets need a Unix system")
    }

    /// The name under which libmemcached puts a server into its ring: without the port if it is the default one.
    pub(super) fn ring_name(&self) -> String {
        match self {
            Self::Tcp { host, port: DEFAULT_PORT } => host.clone(),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            #[cfg(unix)]
            Self::Unix(path) => format!("{}:0", path.display()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, shown, ring) in [
            ("cache", "cache:11211", "cache"),
            ("cache.example:11212", "cache.example:11212", "cache.example:11212"),
            ("127.0.0.1:11211", "127.0.0.1:11211", "127.0.0.1"),
            ("::1", "[::1]:11211", "::1"),
            ("[::1]", "[::1]:11211", "::1"),
            ("[fe80::2]:4000", "[fe80::2]:4000", "fe80::2:4000"),
            ("/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
            ("unix:/run/m.sock", "unix:/run/m.sock", "/run/m.sock:0"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string().as_str(), address.ring_name().as_str()), (shown, ring));
            assert_eq!(Address::parse(shown), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            " ",
            "a b",
            "host:",
            "host:0",
            "host:65536",
            "host:x",
            ":11211",
            "[::1",
            "[::1]x",
            "a:b:c",
            "unix:run",
            "[]:1",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }
}
