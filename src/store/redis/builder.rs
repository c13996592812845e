//! The settings of a Redis store.

use std::{fmt, time::Duration};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use super::{
    error::RedisConfigError,
    key::Keys,
    link::{Link, LinkError, LinkSettings},
    store::{Options, RedisStore},
};
use crate::{
    clock::Clock,
    store::{StoreError, address::Address},
};

/// The port that Redis and Valkey listen on if they are told no other.
const DEFAULT_PORT: u16 = 6_379;

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
    database: i64,
    credentials: Option<(Option<String>, zeroize::Zeroizing<String>)>,
    prefix: String,
    settings: LinkSettings,
    options: Options,
}

/// Where the data are.
#[derive(Clone)]
enum Servers {
    /// One server, by its address.
    Address(String),
    /// One server, by the application's client.
    Client(Client),
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
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self {
            servers: Servers::Address("127.0.0.1:6379".to_owned()),
            database: 0,
            credentials: None,
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
        self.database = client.get_connection_info().redis_settings().db();
        self.servers = Servers::Client(client);
        self
    }

    /// The number of the database. Default 0.
    pub fn database(mut self, number: u32) -> Self {
        self.database = i64::from(number);
        self
    }

    /// User and password. Without TLS, they are sent in clear unless the connection is a Unix socket.
    ///
    /// For a server with `requirepass` and no users, the user is `default`.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((Some(user.into()), zeroize::Zeroizing::new(password.into())));
        self
    }

    /// What every key begins with. Default `session:`; 1 to 200 bytes, no brace, no space and no control character.
    ///
    /// Two stores may share a database if neither prefix begins with the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many connections each runtime that uses the store has to the server: 1 to 64. Default: 2, so that a large
    /// record does not hold up all requests behind it.
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
        let info = self.info()?;
        // A client can be made of it unless this build lacks TLS or Unix sockets.
        let client = Client::open(info).and_then(|client| Link::single(&client, self.settings));
        let link = client.map_err(|error| refuse("server", error.to_string(), "a server that this build supports"))?;
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

    fn info(&self) -> Result<ConnectionInfo, RedisConfigError> {
        let refuse = |setting, given: String, allowed| RedisConfigError::new(setting, given, allowed);
        let (info, mut redis) = match &self.servers {
            Servers::Client(client) => {
                let info = client.get_connection_info().clone();
                let redis = info.redis_settings().clone();
                (info, redis)
            }
            Servers::Address(text) => {
                let address = Address::parse(text, DEFAULT_PORT).map_err(|why| {
                    // A server with an `@` may contain a password, so it is not repeated.
                    let given = if text.contains('@') { why.to_owned() } else { format!("{text:?} ({why})") };
                    refuse("server", given, "`host`, `host:port`, `[ipv6]:port` or the absolute path of a Unix socket")
                })?;
                let address = match address {
                    Address::Tcp { host, port } => ConnectionAddr::Tcp(host, port),
                    #[cfg(unix)]
                    Address::Unix(path) => ConnectionAddr::Unix(path),
                };
                let info = address
                    .into_connection_info()
                    .map_err(|error| refuse("server", error.to_string(), "a server that this build supports"))?;
                (info, RedisConnectionInfo::default())
            }
        };
        redis = redis.set_db(self.database);
        if let Some((user, password)) = &self.credentials {
            if password.is_empty() {
                return Err(refuse("credentials", "an empty password".to_owned(), "a user and a password"));
            }
            redis = redis.set_password(&**password);
            if let Some(user) = user {
                redis = redis.set_username(user);
            }
        }
        Ok(info.set_redis_settings(redis))
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
        let server = match &self.servers {
            Servers::Address(text) => text.clone(),
            Servers::Client(client) => client.get_connection_info().addr().to_string(),
        };
        f.debug_struct("RedisStoreBuilder").field("server", &server).field("prefix", &self.prefix).finish_non_exhaustive()
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
        refused(new().server("a,b"), "server", "by itself");
        assert!(!new().server("bob:hunter2@a").build().unwrap_err().to_string().contains("hunter2"));
        refused(new().prefix("a b"), "prefix", "no space");
        refused(new().prefix(""), "prefix", "1 to 200 bytes");
        refused(new().prefix("{a}"), "prefix", "no brace");
        refused(new().connections(0), "connections", "1 to 64");
        refused(new().connect_timeout(ms(0)), "connect_timeout", "1 ms to 60 s");
        refused(new().request_timeout(ms(60_001)), "request_timeout", "1 ms to 60 s");
        refused(new().queue(0), "queue", "1 to");
        refused(new().value_size_limit(1_023), "value_size_limit", "1,024");
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
