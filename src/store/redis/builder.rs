//! The settings of a Redis store.

use std::{fmt, time::Duration};

use redis::Client;
use zeroize::Zeroizing;

#[cfg(feature = "redis-tls")]
use super::link::RedisTls;
use super::{
    error::RedisConfigError,
    key::Keys,
    link::{LinkError, LinkSettings},
    servers::{Access, Servers},
    store::{Options, RedisStore},
};
use crate::{clock::Clock, store::StoreError};

/// The largest value that Redis accepts, unless its setting `proto-max-bulk-len` is changed.
const LARGEST_VALUE: usize = 512 * 1_024 * 1_024;

/// Below this, not even an empty session fits, with its overhead.
const SMALLEST_VALUE: usize = 1_024;

/// The settings of a [`RedisStore`], checked by [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use session_layer::RedisStore;
///
/// let store = RedisStore::builder()
///     .server("10.0.0.1:6379")
///     .database(2)
///     .prefix("shop:")
///     .request_timeout(Duration::from_millis(500))
///     .build()?;
///
/// let error = RedisStore::builder().connections(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "redis setting `connections` is 0: allowed is 1 to 64 per server");
/// # Ok::<(), session_layer::store::RedisConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "settings do nothing until `build` is called"]
pub struct RedisStoreBuilder {
    servers: Servers,
    access: Access,
    prefix: String,
    settings: LinkSettings,
    options: Options,
}

impl RedisStore {
    /// Returns the default settings; [`build`](RedisStoreBuilder::build) creates the store.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::default()
    }

    /// Creates a store on the server of an application's client, with the default settings.
    ///
    /// The store opens its own connections with the client's address, user, password, database and TLS. It shares none
    /// with the application, whose blocking commands and transactions would delay sessions.
    ///
    /// ```
    /// use session_layer::RedisStore;
    ///
    /// let client = redis::Client::open("redis://127.0.0.1/")?;
    /// let store = RedisStore::from_client(client);
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self::builder().client(client).build().expect("the default settings are allowed, and the client is one")
    }

    /// Creates a store on a cluster, with the default settings, from clients of some of its nodes. See
    /// [`cluster_clients`](RedisStoreBuilder::cluster_clients).
    ///
    /// ```
    /// use session_layer::RedisStore;
    ///
    /// let nodes = ["redis://10.0.0.1/", "redis://10.0.0.2/"].map(redis::Client::open);
    /// let store = RedisStore::from_cluster(nodes.into_iter().collect::<Result<Vec<_>, _>>()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if there is no client, or if a client's node can't be in a cluster because it has a database
    /// other than 0 or a Unix socket.
    pub fn from_cluster(nodes: impl IntoIterator<Item = Client>) -> Result<Self, RedisConfigError> {
        Self::builder().cluster_clients(nodes).build()
    }
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self {
            servers: Servers::Address("127.0.0.1:6379".to_owned()),
            access: Access::default(),
            prefix: "session:".to_owned(),
            settings: LinkSettings::default(),
            options: Options { list_owners: true, value_size_limit: 16 * 1_024 * 1_024, clock: Clock::system() },
        }
    }
}

impl RedisStoreBuilder {
    /// The server: a host name, an IPv4 address, or an IPv6 address in brackets, each with or without a port, or the
    /// absolute path of a Unix socket. Default: `127.0.0.1:6379`.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.servers = Servers::Address(server.into());
        self
    }

    /// The server of an application's client; see [`RedisStore::from_client`]. The client's user, password and database
    /// are used unless they are set here.
    pub fn client(mut self, client: Client) -> Self {
        self.access.database = client.get_connection_info().redis_settings().db();
        self.servers = Servers::Client(client);
        self
    }

    /// A cluster, by the addresses of some of its nodes: host names, IPv4 addresses, or IPv6 addresses in brackets,
    /// each with or without a port. Any running node names the others, so list several.
    ///
    /// All requests go to primaries, at the addresses that the nodes announce, which must be reachable. Replicas aren't
    /// used, since their data can be out of date.
    pub fn cluster<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.servers = Servers::Nodes(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// A cluster, by an application's clients of some of its nodes. Their user, password and TLS are used for all nodes
    /// unless they are set here.
    ///
    /// The clients are those of single nodes, since redis-rs's `ClusterClient` doesn't expose its settings. The store
    /// can't use a `ClusterClient` for its requests either: it repeats them after a lost connection, so a write that
    /// did happen could be answered with a conflict.
    pub fn cluster_clients(mut self, nodes: impl IntoIterator<Item = Client>) -> Self {
        let nodes: Vec<_> = nodes.into_iter().collect();
        if let Some(first) = nodes.first() {
            self.access.database = first.get_connection_info().redis_settings().db();
        }
        self.servers = Servers::NodeClients(nodes);
        self
    }

    /// The primary with this name (`sentinel monitor NAME …`), by the addresses of some Sentinels. The addresses are
    /// written as for [`cluster`](Self::cluster); the default port is 26379.
    ///
    /// The Sentinels are queried each time that the store connects. When they have promoted a replica, the connections
    /// to the old primary close, or its requests are refused or time out, and the next requests go to the new primary.
    pub fn sentinels<S: Into<String>>(
        mut self,
        sentinels: impl IntoIterator<Item = S>,
        name: impl Into<String>,
    ) -> Self {
        self.servers = Servers::Sentinels(sentinels.into_iter().map(Into::into).collect(), name.into());
        self
    }

    /// The number of the database. Default: 0, which is the only one that a cluster has.
    pub fn database(mut self, number: u32) -> Self {
        self.access.database = i64::from(number);
        self
    }

    /// The user and its password. Without TLS, they are sent in plain text, unless the connection is a Unix socket.
    ///
    /// `RedisStore` documents the [permissions](RedisStore#permissions) that the user needs.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.access.credentials = Some((Some(user.into()), Zeroizing::new(password.into())));
        self
    }

    /// The password of the default user: the server's setting `requirepass`.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.access.credentials = Some((None, Zeroizing::new(password.into())));
        self
    }

    /// The user and password for the Sentinels themselves. `None` is the default user. By default, the store doesn't
    /// authenticate with the Sentinels.
    pub fn sentinel_credentials(mut self, user: Option<String>, password: impl Into<String>) -> Self {
        self.access.sentinel_credentials = Some((user, Zeroizing::new(password.into())));
        self
    }

    /// Connects with TLS, to Sentinels as well. Unix sockets are used without it.
    #[cfg(feature = "redis-tls")]
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.access.tls = Some(tls);
        self
    }

    /// How many replicas must confirm a write before the store reports success: 0 to 100. Default: 0.
    ///
    /// Redis replicates a write after it has answered. If the primary fails in between, the promoted replica lacks the
    /// last writes: a session may be in an older state again, and an acknowledged logout may be undone. With this
    /// setting, `WAIT` follows each write. If fewer replicas confirm the write within three quarters of what is left of
    /// its [`request_timeout`](Self::request_timeout), it fails with `NotReplicated`: the primary has it, but a
    /// failover may undo it.
    ///
    /// - **Cost**: each write takes one more round trip between the primary and its replicas. Writes use separate
    ///   connections (as many again as [`connections`](Self::connections)), and on each of them a write waits for the
    ///   one before it. If fewer replicas are up than required, every write takes the whole time limit and fails.
    /// - **Limits**: it doesn't make the servers consistent. A failover may promote a replica that is not among those
    ///   that confirmed, unless all of them must confirm. While Sentinels replace a primary that works
    ///   (`SENTINEL FAILOVER`), there are two primaries for some seconds, and replicas that still follow the old one
    ///   confirm writes that are then lost. A primary that is cut off from the others still answers reads, and replicas
    ///   that are cut off with it still confirm its writes. Confirmed writes are in the replicas' memory, not on their
    ///   disks.
    ///
    /// The server's own setting `min-replicas-to-write` refuses writes while replicas are missing, without waiting for
    /// any. Use both: then nothing is written that can't be confirmed.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// Has the servers report changes (RESP3 client-side caching, `CLIENT TRACKING`), and relies on their messages. Off
    /// by default.
    ///
    /// An owner's epoch is then kept in this process once it has been read. A [`CachedStore`](crate::CachedStore)
    /// around this store serves a session without a round trip, until the server reports that it may have changed.
    ///
    /// **What this gives up**: a change by *another process* is seen here only when the server's message arrives,
    /// usually within a fraction of a millisecond after that process has its answer. The measured figures are in
    /// [`RedisStore`](RedisStore#client-side-caching). If messages stop arriving, because the network is cut or this
    /// process is paused, the old state is served for at most `window`, counted from the beginning of the last request
    /// that the server answered. After that, it is read again. So a logout or a revocation in another process is seen
    /// here after `window` at the latest. Changes by this process are seen at once. A write still names the version
    /// that it replaces, so nothing is lost or brought back in the meantime.
    ///
    /// Without other traffic, one request in each `window` goes to the server. The window is 250 ms to 30 s; 1 s is a
    /// good choice. The user needs the permission `+client|tracking`. The server remembers which keys each connection
    /// has read, for at most `tracking-table-max-keys` keys (1,000,000 by default).
    pub fn tracking(mut self, window: Duration) -> Self {
        self.settings.tracking = Some(window);
        self
    }

    /// The prefix of every key. Default: `session:`. 1 to 200 bytes, without braces, spaces and control characters.
    ///
    /// Two stores can share a database if neither prefix begins with the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The maximum number of connections to each server, for each runtime that uses the store: 1 to 64. Default: 2.
    ///
    /// Requests share one connection, which costs the least. If nothing has been answered on it for 2 ms (because of a
    /// large record, for example), the next request uses another connection.
    pub fn connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections;
        self
    }

    /// The time limit of one attempt to connect, including TLS and authentication: 1 ms to 60 s. Default: 1 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.connect_timeout = limit;
        self
    }

    /// The time limit of one request, including the wait for a connection: 1 ms to 60 s. Default: 1 s.
    ///
    /// If a write is not answered, it is sent again or read back within a second limit of the same length. `rename` has
    /// this limit for each of its two steps, and `clear`, walks and lists have it for each of their requests.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.settings.request_timeout = limit;
        self
    }

    /// The maximum number of requests that queue for one connection: 1 to 1,048,576. Default: 1,024. Further requests
    /// wait for room in the queue, within their time limit.
    pub fn queue(mut self, requests: usize) -> Self {
        self.settings.queue = requests;
        self
    }

    /// The size limit of a value in bytes, including the store's own 90 bytes: 1,024 bytes to 512 MiB, the server's own
    /// limit unless its `proto-max-bulk-len` is changed. Default: 16 MiB. A larger record is refused before it is sent.
    pub fn value_size_limit(mut self, bytes: usize) -> Self {
        self.options.value_size_limit = bytes;
        self
    }

    /// Whether to keep a list of each owner's sessions. Default: on. Without it,
    /// [`list_owner`](crate::store::Owners::list_owner) is not available. Revocation works either way.
    pub fn list_owners(mut self, on: bool) -> Self {
        self.options.list_owners = on;
        self
    }

    /// The clock for expiry, for tests. The server's own clock can't be moved.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Creates the store. It connects on its first request, so it doesn't matter if a server is down now.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid. It names the setting and the allowed values.
    pub fn build(self) -> Result<RedisStore, RedisConfigError> {
        let refuse = RedisConfigError::new;
        let keys =
            Keys::new(&self.prefix).map_err(|allowed| refuse("prefix", format!("{:?}", self.prefix), allowed))?;
        let settings = &self.settings;
        if !(1..=64).contains(&settings.connections) {
            return Err(refuse("connections", settings.connections.to_string(), "1 to 64 per server"));
        }
        for (setting, limit) in
            [("connect_timeout", settings.connect_timeout), ("request_timeout", settings.request_timeout)]
        {
            if limit < Duration::from_millis(1) || limit > Duration::from_secs(60) {
                return Err(refuse(setting, format!("{limit:?}"), "1 ms to 60 s"));
            }
        }
        if !(1..=1_048_576).contains(&settings.queue) {
            return Err(refuse("queue", settings.queue.to_string(), "1 to 1,048,576 requests"));
        }
        let bytes = self.options.value_size_limit;
        if !(SMALLEST_VALUE..=LARGEST_VALUE).contains(&bytes) {
            return Err(refuse("value_size_limit", bytes.to_string(), "1,024 to 536,870,912 bytes"));
        }
        if settings.replicas > 100 {
            return Err(refuse("replicas", settings.replicas.to_string(), "0 to 100"));
        }
        if let Some(window) = settings.tracking
            && !(Duration::from_millis(250)..=Duration::from_secs(30)).contains(&window)
        {
            return Err(refuse("tracking", format!("{window:?}"), "250 ms to 30 s"));
        }
        let link = self.servers.link(&self.access, self.settings)?;
        Ok(RedisStore::new(link, keys, self.options))
    }

    /// Creates the store, and checks that its servers can be reached and used.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid, or if a server can't be reached, refuses the user, or is too old. Its
    /// source says which.
    pub async fn connect(self) -> Result<RedisStore, crate::error::Error> {
        let store = self.build()?;
        store.ping().await.map_err(|error| crate::error::Error::setup(error.during("connect")))?;
        Ok(store)
    }
}

impl RedisStore {
    async fn ping(&self) -> Result<(), StoreError> {
        let primaries = self.inner.link.primaries().await.map_err(LinkError::of_read)?;
        for primary in primaries {
            self.inner.link.on(primary, &redis::cmd("PING")).await.map_err(LinkError::of_read)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("servers", &self.servers.names())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: RedisStoreBuilder, setting: &str, part: &str) {
        let error = builder.build().expect_err(setting);
        assert_eq!(error.setting(), setting);
        let message = error.to_string();
        assert!(message.contains(setting) && message.contains(part), "{message}");
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let ms = Duration::from_millis;
        let new = RedisStoreBuilder::default;
        refused(new().server("a:b"), "server", "65535");
        refused(new().server("redis://a"), "server", "scheme");
        refused(new().server("a,b"), "server", "separately");
        assert!(!new().server("bob:hunter2@a").build().unwrap_err().to_string().contains("hunter2"));
        refused(new().prefix("a b"), "prefix", "no space");
        refused(new().prefix(""), "prefix", "1 to 200 bytes");
        refused(new().prefix("{a}"), "prefix", "no brace");
        refused(new().connections(0), "connections", "1 to 64");
        refused(new().connect_timeout(ms(0)), "connect_timeout", "1 ms to 60 s");
        refused(new().request_timeout(ms(60_001)), "request_timeout", "1 ms to 60 s");
        refused(new().queue(0), "queue", "1 to");
        refused(new().value_size_limit(1_023), "value_size_limit", "1,024");
        refused(new().replicas(101), "replicas", "0 to 100");
        refused(new().tracking(ms(249)), "tracking", "250 ms to 30 s");
        refused(new().tracking(ms(30_001)), "tracking", "250 ms to 30 s");
        refused(new().cluster(Vec::<String>::new()), "cluster", "1 to 1,000");
        refused(new().cluster(["a", "a:6379"]), "cluster", "twice");
        refused(new().cluster(["a"]).database(1), "database", "0 in a cluster");
        refused(new().cluster(["/run/redis.sock"]), "cluster", "hosts");
        refused(new().cluster_clients([]), "cluster", "1 to 1,000");
        let client = Client::open("redis://a/1").unwrap();
        refused(new().cluster_clients([client]), "database", "0 in a cluster");
        refused(new().sentinels(["a", "a:26379"], "n"), "sentinels", "twice");
        refused(new().sentinels(Vec::<String>::new(), "n"), "sentinels", "1 to 1,000");
        refused(new().sentinels(["a"], ""), "sentinels", "name");
        refused(new().sentinels(["a"], "a b"), "sentinels", "name");
        refused(new().sentinels(["a"], "n").sentinel_credentials(None, ""), "sentinel_credentials", "password");
        refused(new().password(""), "credentials", "password");
        refused(new().credentials("u", ""), "credentials", "password");
        assert!(!format!("{:?}", new().credentials("u", "hunter2")).contains("hunter"));
        let store = new().credentials("u", "hunter2").build().unwrap();
        assert!(!format!("{store:?}").contains("hunter"));
    }

    #[test]
    fn the_defaults_and_the_bounds_are_allowed() {
        assert!(RedisStoreBuilder::default().build().is_ok());
        for server in ["a", "b:1", "[::1]", "/run/redis.sock"] {
            let bounds = RedisStoreBuilder::default()
                .server(server)
                .database(15)
                .prefix("p")
                .connections(64)
                .connect_timeout(Duration::from_millis(1))
                .request_timeout(Duration::from_secs(60))
                .queue(1)
                .value_size_limit(LARGEST_VALUE)
                .credentials("u", "p");
            assert!(cfg!(not(unix)) || bounds.build().is_ok(), "{server}");
        }
    }
}
