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

/// The largest value that Redis takes: its setting `proto-max-bulk-len`, if it is not changed.
const LARGEST_VALUE: usize = 512 * 1_024 * 1_024;

/// Below this not even an empty session fits with its overhead.
const SMALLEST_VALUE: usize = 1_024;

/// The settings of a [`RedisStore`]. They are checked by [`build`](Self::build).
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
/// assert_eq!(error.to_string(), "redis setting `connections` is 0: allowed is 1 to 64 a server");
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
    /// The settings of a store; [`build`](RedisStoreBuilder::build) makes it.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::default()
    }

    /// A store on the server of an application's client, with the default settings.
    ///
    /// The store makes its own connections with the client's address, user, password, database and TLS. It shares none
    /// with the application, whose blocking commands and transactions would hold sessions up.
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

    /// A store on a cluster, with the default settings, from clients of some of its nodes: see
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
    /// If there is no client, or one whose node can't be in a cluster: with a database, or a Unix socket.
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

    /// The server of an application's client: see [`RedisStore::from_client`]. Its user, password and database are used
    /// unless they are set here.
    pub fn client(mut self, client: Client) -> Self {
        self.access.database = client.get_connection_info().redis_settings().db();
        self.servers = Servers::Client(client);
        self
    }

    /// A cluster, by the addresses of some of its nodes: host names, IPv4 addresses, or IPv6 addresses in brackets, each
    /// with or without a port. Any that is up tells which the others are, so give several.
    ///
    /// Requests go to the primaries only, where the nodes say that they are: what a replica has may be old. The nodes must
    /// be reachable at the addresses that they announce.
    pub fn cluster<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.servers = Servers::Nodes(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// A cluster, by an application's clients of some of its nodes. Their user, password and TLS are used for all nodes
    /// unless they are set here.
    ///
    /// These are clients of single nodes, since redis-rs's `ClusterClient` does not tell its settings. The store doesn't
    /// send its requests through one either: it sends them again after a lost connection, so that a write that happened
    /// could be answered with a conflict.
    pub fn cluster_clients(mut self, nodes: impl IntoIterator<Item = Client>) -> Self {
        let nodes: Vec<_> = nodes.into_iter().collect();
        if let Some(first) = nodes.first() {
            self.access.database = first.get_connection_info().redis_settings().db();
        }
        self.servers = Servers::NodeClients(nodes);
        self
    }

    /// The primary that Sentinels know by this name (`sentinel monitor NAME …`), by the addresses of some Sentinels: as
    /// for [`cluster`](Self::cluster), with the default port 26379.
    ///
    /// They are asked each time that the store connects. When they have promoted a replica, the connections to the old
    /// primary end, or their requests are not answered in time or refused, and the next requests go to the new one.
    pub fn sentinels<S: Into<String>>(
        mut self,
        sentinels: impl IntoIterator<Item = S>,
        name: impl Into<String>,
    ) -> Self {
        self.servers = Servers::Sentinels(sentinels.into_iter().map(Into::into).collect(), name.into());
        self
    }

    /// The number of the database. Default 0; a cluster has no other.
    pub fn database(mut self, number: u32) -> Self {
        self.access.database = i64::from(number);
        self
    }

    /// User and password. Without TLS, they are sent in clear unless the connection is a Unix socket.
    ///
    /// `RedisStore` documents the [permissions](RedisStore#permissions) that the user needs.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.access.credentials = Some((Some(user.into()), Zeroizing::new(password.into())));
        self
    }

    /// The password of the default user: the server's `requirepass`.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.access.credentials = Some((None, Zeroizing::new(password.into())));
        self
    }

    /// The Sentinels' own user, `None` for the default one, and password. By default they are asked without.
    pub fn sentinel_credentials(mut self, user: Option<String>, password: impl Into<String>) -> Self {
        self.access.sentinel_credentials = Some((user, Zeroizing::new(password.into())));
        self
    }

    /// Connects by TLS, to Sentinels as well. Unix sockets stay as they are.
    #[cfg(feature = "redis-tls")]
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.access.tls = Some(tls);
        self
    }

    /// How many replicas must confirm a write before it is answered: 0 to 100. Default 0.
    ///
    /// Redis replicates after it has answered. If the primary fails before, the promoted replica lacks the last writes: a
    /// session may be in an older state again, and a logout that was answered may be undone. With this setting, `WAIT`
    /// follows each write, and a write that fewer replicas confirm within three quarters of the time that is left of its
    /// [`request_timeout`](Self::request_timeout) fails with `OutcomeUnknown`: it is on the primary, and a failover may undo it.
    ///
    /// - **Cost**: each write takes a further round trip between primary and replica. Writes go over connections of their
    ///   own (as many again as [`connections`](Self::connections)), on each of which the next write waits for the one
    ///   before. If fewer replicas are up than asked for, every write takes the whole time limit and fails.
    /// - **What it doesn't give**: consistency. A failover may promote a replica that is not among those that confirmed,
    ///   unless all of them must. While Sentinels replace a primary that is well (`SENTINEL FAILOVER`), there are two for
    ///   some seconds, and replicas that still follow the old one confirm writes that it then loses. A primary that is cut
    ///   off from the others still answers reads, and confirms writes of replicas that are cut off with it. What was
    ///   confirmed is in the replicas' memory, not on their disks.
    ///
    /// The server's `min-replicas-to-write` refuses writes where replicas are missing, without waiting for any. It goes
    /// well with this setting: then nothing is written where nothing can be confirmed.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// Has the servers say what changes (RESP3 client-side caching, `CLIENT TRACKING`), and relies on it. Off by default.
    ///
    /// An owner's epoch that was read is then kept in this process, and a [`CachedStore`](crate::CachedStore) in front of
    /// this store serves a session without a round trip, until the server says that it may have changed.
    ///
    /// **What this gives up**: a change that *another process* makes is seen here when the server's message arrives, usually
    /// within a fraction of a millisecond after that process has its answer. `RedisStore`
    /// [documents](RedisStore#client-side-caching) the figures that were measured. If messages stop to arrive, because the
    /// network is cut or this process stands still, the old state is served for at most `window` after the last request that
    /// the server answered began; then it is read again. So `window` is how late a logout or a revocation in another process
    /// can be seen here at worst. Changes made by this process are seen at once, and a write still names the version that it
    /// replaces, so nothing is lost or brought back meanwhile.
    ///
    /// Without other traffic, one request in each `window` goes to the server. Allowed are 10 ms to 60 s; 1 s is a good
    /// choice. The user needs the permission `+client|tracking`. The server keeps a list of what each connection has read,
    /// for at most `tracking-table-max-keys` keys (1,000,000 by default).
    pub fn tracking(mut self, window: Duration) -> Self {
        self.settings.tracking = Some(window);
        self
    }

    /// What every key begins with. Default `session:`; 1 to 200 bytes, no brace, no space and no control character.
    ///
    /// Two stores may share a database if neither prefix begins with the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many connections each runtime that uses the store has to the server at most: 1 to 64. Default: 2.
    ///
    /// Requests share one connection, which costs the least. One that finds it held up, so that nothing has been answered
    /// on it for 2 ms (by a large record, say), goes over the next one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections;
        self
    }

    /// How long an attempt to connect may take, with TLS and authentication. Default 1 s; 1 ms to 60 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.connect_timeout = limit;
        self
    }

    /// How long a request may take, including the wait for a connection: 1 ms to 60 s. Default: 1 s.
    ///
    /// A write that is not answered is read back within a second span of this length. `rename` has one span for each of
    /// its steps; `clear`, walks and lists have one for each of their requests.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.settings.request_timeout = limit;
        self
    }

    /// How many requests may wait for one connection; more wait outside, within their time. Default 1,024; 1 to
    /// 1,048,576.
    pub fn queue(mut self, requests: usize) -> Self {
        self.settings.queue = requests;
        self
    }

    /// The largest value that is sent, in bytes with 90 of the store's own. Default 16 MiB; 1,024 bytes to 512 MiB, which
    /// is also what the server takes unless its `proto-max-bulk-len` is changed. A larger record is refused before it is
    /// sent.
    pub fn value_size_limit(mut self, bytes: usize) -> Self {
        self.options.value_size_limit = bytes;
        self
    }

    /// Keeps a list of each owner's sessions. On by default. Off, [`list_owner`](crate::store::Owners::list_owner) is not
    /// there; revocation works all the same.
    pub fn list_owners(mut self, on: bool) -> Self {
        self.options.list_owners = on;
        self
    }

    /// The clock that expiry is told by, for tests. The server's own can't be moved.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Makes the store. Nothing is connected yet: a server that is down now is not fatal.
    ///
    /// # Errors
    ///
    /// If a setting is wrong; the error names it and what is allowed.
    pub fn build(self) -> Result<RedisStore, RedisConfigError> {
        let refuse = RedisConfigError::new;
        let keys =
            Keys::new(&self.prefix).map_err(|allowed| refuse("prefix", format!("{:?}", self.prefix), allowed))?;
        let settings = &self.settings;
        if !(1..=64).contains(&settings.connections) {
            return Err(refuse("connections", settings.connections.to_string(), "1 to 64 a server"));
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
            && !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&window)
        {
            return Err(refuse("tracking", format!("{window:?}"), "10 ms to 60 s"));
        }
        let link = self.servers.link(&self.access, self.settings)?;
        Ok(RedisStore::new(link, keys, self.options))
    }

    /// Makes the store and asks the server whether it is there and can be used.
    ///
    /// # Errors
    ///
    /// If a setting is wrong, or the server can't be reached, refuses the user, or is too old. The source says what it is.
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
        refused(new().tracking(ms(9)), "tracking", "10 ms to 60 s");
        refused(new().tracking(ms(60_001)), "tracking", "10 ms to 60 s");
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
