//! The settings of a memcached store.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "memcached-tls")]
use super::MemcachedTls;
use super::{
    client::{Credentials, ServerSettings, Transport},
    error::MemcachedConfigError,
    key::Keys,
    list_policy::ListPolicy,
    options::Options,
    store::{DEFAULT_PORT, MemcachedStore},
};
use crate::{clock::Clock, store::address::Address};

/// The smallest `item_size_limit`. Below it, not even an empty session fits with its overhead.
const SMALLEST_ITEM: usize = 1_024;

/// Memcached's own upper bound for `-I`.
const LARGEST_ITEM: usize = 1_024 * 1_024 * 1_024;

/// Configures a [`MemcachedStore`]. [`build`](Self::build) checks the settings.
///
/// ```
/// use std::time::Duration;
/// use session_layer::MemcachedStore;
///
/// let store = MemcachedStore::builder()
///     .servers(["10.0.0.1:11211", "10.0.0.2", "[2001:db8::3]:11211"])
///     .prefix("shop:")
///     .request_timeout(Duration::from_millis(500))
///     .build()?;
///
/// let error = MemcachedStore::builder().connections(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "memcached setting `connections` is 0; allowed: 1 to 64 a server");
/// # Ok::<(), session_layer::store::MemcachedConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "settings do nothing until `build` is called"]
pub struct MemcachedStoreBuilder {
    servers: Vec<String>,
    prefix: String,
    connections: usize,
    connect_timeout: Duration,
    request_timeout: Duration,
    queue: usize,
    item_size_limit: Option<usize>,
    credentials: Option<(String, zeroize::Zeroizing<String>)>,
    transport: Transport,
    options: Options,
}

impl MemcachedStore {
    /// Returns a builder with the default settings.
    pub fn builder() -> MemcachedStoreBuilder {
        MemcachedStoreBuilder::default()
    }
}

impl Default for MemcachedStoreBuilder {
    fn default() -> Self {
        Self {
            servers: vec!["127.0.0.1:11211".to_owned()],
            prefix: "session:".to_owned(),
            connections: 2,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            queue: 1_024,
            item_size_limit: None,
            credentials: None,
            transport: Transport::default(),
            options: Options::default(),
        }
    }
}

impl MemcachedStoreBuilder {
    /// The servers: host names, IPv4 addresses, or IPv6 addresses in brackets, each with or without a port, or absolute
    /// paths of Unix sockets. Default: `127.0.0.1:11211`. [`build`](Self::build) refuses invalid host names, which
    /// would otherwise fail only at the first request.
    ///
    /// Every process must be given the same servers, spelled alike, in any order: the list determines which server a
    /// session is on. A host name with several addresses is one server; its addresses are tried in order.
    pub fn servers<S: Into<String>>(mut self, servers: impl IntoIterator<Item = S>) -> Self {
        self.servers = servers.into_iter().map(Into::into).collect();
        self
    }

    /// The prefix of every key: at most 200 bytes without spaces and control characters. It may be empty. Default:
    /// `session:`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The number of connections that each runtime that uses the store has to each server: 1 to 64. Default: 2, so that
    /// a large record does not hold up all requests behind it.
    ///
    /// With one runtime per core, check memcached's limit of connections (its option `-c`, 1,024 by default).
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The time limit for connecting, including all addresses of the server, TLS and authentication: 1 ms to 60 s.
    /// Default: 1 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The time limit for an operation, including the wait for a place in the queue and for a connection: 1 ms to 60 s.
    /// Default: 1 s. The caller enforces it itself: see [Runtimes and time
    /// limits](MemcachedStore#runtimes-and-time-limits).
    ///
    /// A write whose outcome is unknown is read back within a second span of this length. `rename` has one span for
    /// each of its steps, `list_owner` one for every 64 sessions, and `clear` one for each server, or two if there are
    /// several servers. `close` waits for at most the sum of this limit, the connect limit and a quarter of a second.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How many requests may wait for one connection: 1 to 1,048,576. Default: 1,024. Further requests wait outside the
    /// queue, within their time limit.
    pub fn queue(mut self, requests: usize) -> Self {
        self.queue = requests;
        self
    }

    /// The largest item that is sent, in bytes, including about 100 bytes for its key and memcached's overhead: 1,024
    /// bytes to 1 GiB. Default: the limit that each server reports (its option `-I`), or 1 MiB if it reports none. A
    /// server's own limit holds in any case.
    ///
    /// A larger record is refused with [`TooLarge`](crate::store::StoreErrorKind::TooLarge) before it is sent, because
    /// memcached drops the stored item when it receives one that is too large.
    pub fn item_size_limit(mut self, bytes: usize) -> Self {
        self.item_size_limit = Some(bytes);
        self
    }

    /// User and password for memcached's ASCII authentication (its option `-Y`). SASL (`-S`) is for the binary
    /// protocol, which this client does not speak.
    ///
    /// They are sent in plain text unless the connection is a Unix socket or uses TLS.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), zeroize::Zeroizing::new(password.into())));
        self
    }

    /// Connects with TLS. Connections over Unix sockets don't use it.
    #[cfg(feature = "memcached-tls")]
    pub fn tls(mut self, tls: MemcachedTls) -> Self {
        self.transport.tls = Some(tls);
        self
    }

    /// Lets the last write win: an update replaces whatever session state is stored, so an update by another request at
    /// the same time is lost. A session that was destroyed or renewed is still not brought back. Off by default.
    ///
    /// Leases then don't protect their holders: a holder whose lease has run out overwrites the changes of the next
    /// one. A layer with [`exclusive`](crate::SessionLayerBuilder::exclusive) refuses such a store.
    pub fn last_write_wins(mut self, on: bool) -> Self {
        self.options.last_write_wins = on;
        self
    }

    /// Sets what [`ids`](crate::store::Listing::ids), [`count`](crate::store::Listing::count) and `sweep` return.
    /// Default: [`ListPolicy::Warn`].
    pub fn list_policy(mut self, policy: ListPolicy) -> Self {
        self.options.list_policy = policy;
        self
    }

    /// Enables [`clear`](crate::store::Clearing::clear): each server keeps a generation, records of another generation
    /// are absent, and `clear` renews the generation on every server. Off by default, since every operation then reads
    /// one more item (in the same round trip). While it is off, `clear` fails with `Unsupported`.
    ///
    /// Use the same setting in every process. A server that has lost its generation has lost its sessions. Sessions
    /// don't evict the generation, since it is smaller than any of them.
    pub fn clear_by_generation(mut self, on: bool) -> Self {
        self.options.clear_by_generation = on;
        self
    }

    /// Keeps a list of each owner's sessions for [`list_owner`](crate::store::Owners::list_owner). On by default; it
    /// costs two requests at each login. If it is off, `list_owner` fails with `Unsupported`, and revocation still
    /// works.
    pub fn list_owners(mut self, on: bool) -> Self {
        self.options.list_owners = on;
        self
    }

    /// The clock for expiry, for tests. Default: the system's. Memcached's own clock can't be moved.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Builds the store. It does not connect yet, so a server that is down is no error here.
    ///
    /// # Errors
    ///
    /// If a setting is invalid. The error names the setting and what is allowed.
    pub fn build(self) -> Result<MemcachedStore, MemcachedConfigError> {
        let refuse = MemcachedConfigError::new;
        let mut addresses: Vec<Address> = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let address = Address::parse(server, DEFAULT_PORT).map_err(|why| {
                // A server with an `@` may contain a password, so it is not repeated.
                let given = if server.contains('@') { why.to_owned() } else { format!("{server:?} ({why})") };
                refuse("servers", given, "`host`, `host:port`, `[ipv6]:port` or the absolute path of a Unix socket")
            })?;
            if addresses.contains(&address) {
                return Err(refuse("servers", format!("{server:?} twice"), "each server once"));
            }
            addresses.push(address);
        }
        if addresses.is_empty() || addresses.len() > 1_000 {
            return Err(refuse("servers", format!("{} servers", addresses.len()), "1 to 1,000 servers"));
        }
        let keys =
            Keys::new(&self.prefix).map_err(|allowed| refuse("prefix", format!("{:?}", self.prefix), allowed))?;
        if !(1..=64).contains(&self.connections) {
            return Err(refuse("connections", self.connections.to_string(), "1 to 64 a server"));
        }
        for (setting, limit) in [("connect_timeout", self.connect_timeout), ("request_timeout", self.request_timeout)] {
            if limit < Duration::from_millis(1) || limit > Duration::from_secs(60) {
                return Err(refuse(setting, format!("{limit:?}"), "1 ms to 60 s"));
            }
        }
        if !(1..=1_048_576).contains(&self.queue) {
            return Err(refuse("queue", self.queue.to_string(), "1 to 1,048,576 requests"));
        }
        if let Some(bytes) = self.item_size_limit.filter(|bytes| !(SMALLEST_ITEM..=LARGEST_ITEM).contains(bytes)) {
            return Err(refuse("item_size_limit", bytes.to_string(), "1,024 to 1,073,741,824 bytes"));
        }
        let credentials = match &self.credentials {
            None => None,
            Some((user, password)) => Some(Credentials::new(user, password).map_err(|(which, allowed)| {
                refuse("credentials", format!("a {which} that memcached can't read"), allowed)
            })?),
        };
        let settings = ServerSettings {
            connections: self.connections,
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            queue: self.queue,
            item_size_limit: self.item_size_limit,
            credentials,
            transport: self.transport,
        };
        Ok(MemcachedStore::new(addresses, Arc::new(settings), keys, self.options))
    }
}

impl fmt::Debug for MemcachedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStoreBuilder")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: MemcachedStoreBuilder, setting: &str, part: &str) {
        let error = builder.build().expect_err(setting);
        assert_eq!(error.setting(), setting);
        let message = error.to_string();
        assert!(message.contains(setting) && message.contains(part), "{message}");
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let ms = Duration::from_millis;
        let new = MemcachedStoreBuilder::default;
        refused(new().servers(Vec::<String>::new()), "servers", "1 to 1,000");
        refused(new().servers(["a:b"]), "servers", "65535");
        refused(new().servers(["a", "a:11211"]), "servers", "twice");
        refused(new().servers(["a;b"]), "servers", "separately");
        assert!(!new().servers(["bob:hunter2@a"]).build().unwrap_err().to_string().contains("hunter2"));
        refused(new().prefix("a b"), "prefix", "no space");
        refused(new().prefix("p".repeat(201)), "prefix", "200 bytes");
        refused(new().connections(0), "connections", "1 to 64");
        refused(new().connections(65), "connections", "1 to 64");
        refused(new().connect_timeout(ms(0)), "connect_timeout", "1 ms to 60 s");
        refused(new().request_timeout(ms(60_001)), "request_timeout", "1 ms to 60 s");
        refused(new().queue(0), "queue", "1 to");
        refused(new().item_size_limit(1_023), "item_size_limit", "1,024");
        refused(new().credentials("a b", "p"), "credentials", "user");
        refused(new().credentials("u", "hunter2\r\n"), "credentials", "password");
        assert!(!new().credentials("u", "hunter 2").build().unwrap_err().to_string().contains("hunter"));
        assert!(!format!("{:?}", new().credentials("u", "hunter2")).contains("hunter"));
    }

    #[test]
    fn the_defaults_and_the_bounds_are_allowed() {
        assert!(MemcachedStoreBuilder::default().build().is_ok());
        let bounds = MemcachedStoreBuilder::default()
            .servers(["a", "b:1", "[::1]", "/run/m.sock"])
            .prefix("")
            .connections(64)
            .connect_timeout(Duration::from_millis(1))
            .request_timeout(Duration::from_secs(60))
            .queue(1)
            .item_size_limit(SMALLEST_ITEM)
            .credentials("u", "p");
        #[cfg(unix)]
        assert!(bounds.build().is_ok());
    }
}
