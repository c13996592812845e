//! The exchange with a server before the first request.

use std::{fmt, io};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::stream::Wire;
use crate::id::random_u64;

/// The first version with the meta protocol's replies that this client reads (`HD`).
const OLDEST: [u32; 3] = [1, 6, 10];

/// A version whose conditional delete ignores the CAS value: it would delete what another caller has written.
const BROKEN: [u32; 3] = [1, 6, 12];

/// The most bytes that are read. All servers' replies are shorter; a server that never stops sending is cut off.
const MAX_BYTES: usize = 64 * 1_024;

/// User and password for memcached's ASCII authentication (its option `-Y`).
#[derive(Clone)]
pub(in super::super) struct Credentials {
    line: Zeroizing<String>,
}

impl Credentials {
    /// Checks user and password. The error says which of the two is wrong and what is allowed.
    pub(in super::super) fn new(user: &str, password: &str) -> Result<Self, (&'static str, &'static str)> {
        let plain = |text: &str| !text.is_empty() && text.len() <= 250 && !text.chars().any(char::is_control);
        if !plain(user) || user.contains([' ', ':']) {
            return Err(("user", "1 to 250 bytes without space, colon and control characters"));
        }
        if !plain(password) || password.contains(' ') {
            return Err(("password", "1 to 250 bytes without space and control characters"));
        }
        Ok(Self { line: Zeroizing::new(format!("{user} {password}")) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// A mask of the bits that an incarnation can have.
const INCARNATION_BITS: u64 = (1 << 56) - 1;

/// The properties that a server reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerInfo {
    pub(super) version: String,
    /// The largest item, in bytes, including all overhead.
    pub(super) item_size_max: Option<usize>,
    /// Distinguishes this server process from earlier and later ones at the same address. It consists of the second in
    /// which the process was started and its process id. (Even if every process has the id 1, two that start in the
    /// same second are confused only if the first one has served requests within that second.) If the server does not
    /// report these, it is a random number for each connection.
    pub(super) incarnation: u64,
}

/// Authenticates if there are credentials, and requests the version, the settings and the incarnation. The error says
/// what is wrong.
pub(super) async fn shake(wire: &mut dyn Wire, credentials: Option<&Credentials>) -> io::Result<ServerInfo> {
    let mut lines = Lines { wire, buffer: BytesMut::new(), read: 0 };
    if let Some(credentials) = credentials {
        let mut request = Zeroizing::new(Vec::with_capacity(credentials.line.len() + 32));
        request.extend_from_slice(format!("set auth 0 0 {}\r\n", credentials.line.len()).as_bytes());
        request.extend_from_slice(credentials.line.as_bytes());
        request.extend_from_slice(b"\r\n");
        lines.wire.write_all(&request).await?;
        lines.wire.flush().await?;
        let line = lines.next().await?;
        if line != "STORED" {
            return Err(refused("it refused the user and password (settings of `credentials`)"));
        }
    }
    lines.wire.write_all(b"version\r\n").await?;
    lines.wire.flush().await?;
    let line = lines.next().await?;
    let Some(version) = line.strip_prefix("VERSION ") else {
        return Err(refused(if line.starts_with("CLIENT_ERROR") {
            "it asks for authentication: set `credentials` (SASL, its option -S, is not supported; -Y is)"
        } else {
            "it is not memcached: it does not report its version"
        }));
    };
    check_version(version)?;
    lines.wire.write_all(b"stats settings\r\n").await?;
    lines.wire.flush().await?;
    let mut item_size_max = None;
    loop {
        let line = lines.next().await?;
        if line == "END" {
            break;
        }
        let Some(setting) = line.strip_prefix("STAT ") else {
            return Err(refused("it does not report its settings (`stats settings`)"));
        };
        match setting.split_once(' ') {
            Some(("item_size_max", bytes)) => item_size_max = bytes.parse().ok(),
            Some(("cas_enabled", "no")) => {
                return Err(refused("it runs without compare-and-swap: start it without -C"));
            }
            _ => {}
        }
    }
    lines.wire.write_all(b"stats\r\n").await?;
    lines.wire.flush().await?;
    let incarnation = incarnation(&mut lines).await?;
    if !lines.buffer.is_empty() {
        return Err(refused("it sent more than was requested"));
    }
    Ok(ServerInfo { version: version.to_owned(), item_size_max, incarnation })
}

/// Reads the incarnation from the reply to `stats`.
async fn incarnation(lines: &mut Lines<'_>) -> io::Result<u64> {
    let [mut process, mut time, mut uptime] = [None; 3];
    loop {
        let line = lines.next().await?;
        let Some(counter) = line.strip_prefix("STAT ") else { break };
        let number = |text: &str| text.parse::<u64>().ok();
        match counter.split_once(' ') {
            Some(("pid", text)) => process = number(text),
            Some(("time", text)) => time = number(text),
            Some(("uptime", text)) => uptime = number(text),
            _ => {}
        }
    }
    let number = match (process, time, uptime) {
        (Some(process), Some(time), Some(uptime)) => (time.wrapping_sub(uptime) << 24) | (process & 0xff_ffff),
        _ => random_u64().map_err(io::Error::other)?,
    };
    Ok(number & INCARNATION_BITS)
}

/// Refuses unsupported versions. A version that isn't numeric, such as one in a fork's own scheme, is assumed to be
/// recent.
fn check_version(version: &str) -> io::Result<()> {
    let mut parts = version.split(['.', '-', '_', ' ']).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(());
    };
    let parsed: [u32; 3] = [major, minor, patch];
    if parsed < OLDEST || parsed == BROKEN {
        let version: String = version.chars().take(40).collect();
        return Err(refused(format!(
            "its version {version} is not supported: it must be 1.6.10 or later, and not 1.6.12"
        )));
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why.into())
}

struct Lines<'a> {
    wire: &'a mut dyn Wire,
    buffer: BytesMut,
    read: usize,
}

impl Lines<'_> {
    async fn next(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.read > MAX_BYTES {
                return Err(refused("it is not memcached: its reply does not end"));
            }
            let read = self.wire.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
            }
            self.read += read;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_and_unsupported_versions_are_distinguished() {
        for good in ["1.6.10", "1.6.11", "1.6.13", "1.6.18", "1.6.40-beta2", "1.7.0", "2.0.0", "unknown"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["1.4.39", "1.5.22", "1.6.9", "1.6.12", "1.6.12_1"] {
            let error = check_version(bad).unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("1.6.10"), "{error}");
        }
    }

    #[test]
    fn credentials_are_checked_and_not_shown() {
        let good = Credentials::new("bob", "hunter:2").unwrap();
        assert_eq!(format!("{good:?}"), "Credentials(redacted)");
        for (user, password, setting) in [
            ("", "p", "user"),
            ("a b", "p", "user"),
            ("a:b", "p", "user"),
            ("u", "", "password"),
            ("u", "a\r\nb", "password"),
        ] {
            assert_eq!(Credentials::new(user, password).unwrap_err().0, setting);
        }
    }

    /// Servers that can't be told apart count as different.
    #[tokio::test]
    async fn a_server_without_an_incarnation_gets_one_for_each_connection() {
        for script in [&b"VERSION 1.6.18\r\nEND\r\nEND\r\n"[..], b"VERSION 1.6.18\r\nEND\r\nERROR\r\n"] {
            let (one, two) = (shake_with(script).await.unwrap(), shake_with(script).await.unwrap());
            assert_ne!(one.incarnation, two.incarnation);
            assert!(one.incarnation <= INCARNATION_BITS);
        }
    }

    async fn shake_with(script: &'static [u8]) -> io::Result<ServerInfo> {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 17);
        theirs.write_all(script).await.unwrap();
        shake(&mut ours, None).await
    }

    #[tokio::test]
    async fn a_server_other_than_memcached_is_an_error() {
        let good = b"VERSION 1.6.18\r\nSTAT cas_enabled yes\r\nSTAT item_size_max 1024\r\nEND\r\n\
            STAT pid 7\r\nSTAT uptime 5\r\nSTAT time 1700000005\r\nEND\r\n";
        let info = shake_with(good).await.unwrap();
        assert_eq!((info.item_size_max, info.incarnation), (Some(1_024), 1_700_000_000 << 24 | 7));
        for (script, part) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "not memcached"),
            (b"VERSION 1.5.6\r\n", "1.5.6"),
            (b"VERSION 1.6.18\r\nSTAT cas_enabled no\r\nEND\r\n", "-C"),
            (b"VERSION 1.6.18\r\nERROR\r\n", "settings"),
            (b"CLIENT_ERROR unauthenticated\r\n", "credentials"),
            (b"VERSION 1.6.18\r\nEND\r\nEND\r\nEND\r\n", "more than was requested"),
        ] {
            let error = shake_with(script).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let endless: &'static [u8] = vec![b'x'; MAX_BYTES + 10].leak();
        assert!(shake_with(endless).await.unwrap_err().to_string().contains("does not end"));
    }
}
