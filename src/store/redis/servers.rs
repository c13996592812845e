//! The servers of a store, and how to connect to them.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    io::tcp::TcpSettings,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use zeroize::Zeroizing;

#[cfg(feature = "redis-tls")]
use super::link::RedisTls;
use super::{
    error::RedisConfigError,
    link::{Link, LinkSettings},
};
use crate::store::address::Address;

/// The default port of Redis and Valkey.
const DEFAULT_PORT: u16 = 6_379;

/// The default port of Sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// The maximum number of nodes or Sentinels. It isn't necessary to list all of them.
const MOST_SERVERS: usize = 1_000;

/// How the servers are arranged.
#[derive(Clone)]
pub(super) enum Servers {
    /// One server, by its address.
    Address(String),
    /// One server, by the application's client.
    Client(Client),
    /// Some nodes of a cluster, by their addresses.
    Nodes(Vec<String>),
    /// Some nodes of a cluster, by the application's clients.
    NodeClients(Vec<Client>),
    /// Some Sentinels, and their name for the primary.
    Sentinels(Vec<String>, String),
}

/// A user (`None`: the default one) and a password.
pub(super) type Credentials = (Option<String>, Zeroizing<String>);

/// The settings for setting up a connection.
#[derive(Clone, Default)]
pub(super) struct Access {
    pub(super) database: i64,
    pub(super) credentials: Option<Credentials>,
    pub(super) sentinel_credentials: Option<Credentials>,
    #[cfg(feature = "redis-tls")]
    pub(super) tls: Option<RedisTls>,
}

impl Servers {
    /// Creates the link to these servers. Nothing is connected yet.
    pub(super) fn link(&self, access: &Access, settings: LinkSettings) -> Result<Link, RedisConfigError> {
        let unsupported = |error: redis::RedisError| {
            RedisConfigError::new("server", error.to_string(), "a server that this build supports")
        };
        for (setting, credentials) in
            [("credentials", &access.credentials), ("sentinel_credentials", &access.sentinel_credentials)]
        {
            if credentials.as_ref().is_some_and(|(_, password)| password.is_empty()) {
                return Err(RedisConfigError::new(setting, "an empty password", "a user and a password"));
            }
        }
        match self {
            Self::Address(text) => {
                let info = access.to(connection_address("server", text, DEFAULT_PORT)?).map_err(unsupported)?;
                Client::open(info).and_then(|client| Link::single(&client, settings)).map_err(unsupported)
            }
            Self::Client(client) => {
                let info = access.instead(client.get_connection_info().clone()).map_err(unsupported)?;
                Client::open(info).and_then(|client| Link::single(&client, settings)).map_err(unsupported)
            }
            Self::Nodes(texts) => {
                let addresses = hosts("cluster", texts, DEFAULT_PORT)?;
                let infos: Result<_, _> = addresses.into_iter().map(|address| access.to(address)).collect();
                cluster(infos.map_err(unsupported)?, settings)
            }
            Self::NodeClients(clients) => {
                let infos = clients.iter().map(|client| access.instead(client.get_connection_info().clone()));
                cluster(infos.collect::<Result<_, _>>().map_err(unsupported)?, settings)
            }
            Self::Sentinels(texts, name) => {
                access.by_sentinels(hosts("sentinels", texts, SENTINEL_PORT)?, name, settings)
            }
        }
    }

    /// The servers' names for `Debug`.
    pub(super) fn names(&self) -> Vec<String> {
        let named = |client: &Client| client.get_connection_info().addr().to_string();
        match self {
            Self::Address(text) => vec![text.clone()],
            Self::Nodes(texts) | Self::Sentinels(texts, _) => texts.clone(),
            Self::Client(client) => vec![named(client)],
            Self::NodeClients(clients) => clients.iter().map(named).collect(),
        }
    }
}

fn cluster(infos: Vec<ConnectionInfo>, settings: LinkSettings) -> Result<Link, RedisConfigError> {
    let refuse = |given: String, allowed| Err(RedisConfigError::new("cluster", given, allowed));
    if infos.is_empty() || infos.len() > MOST_SERVERS {
        return refuse(format!("{} nodes", infos.len()), "1 to 1,000 nodes");
    }
    let mut seeds = Vec::with_capacity(infos.len());
    for info in infos {
        if let Some(number) = Some(info.redis_settings().db()).filter(|number| *number != 0) {
            let allowed = "0 in a cluster, which has one database";
            return Err(RedisConfigError::new("database", number.to_string(), allowed));
        }
        if matches!(info.addr(), ConnectionAddr::Unix(_)) {
            return refuse(
                format!("{} as a node", info.addr()),
                "nodes that other nodes can name: hosts, with or without a port",
            );
        }
        let seed = Client::open(info)
            .map_err(|error| RedisConfigError::new("cluster", error.to_string(), "nodes that this build supports"))?;
        seeds.push(seed);
    }
    Ok(Link::cluster(seeds, settings))
}

/// Parses a list of addresses, in which each may occur only once and none may be a socket.
fn hosts(setting: &'static str, texts: &[String], port: u16) -> Result<Vec<ConnectionAddr>, RedisConfigError> {
    if texts.is_empty() || texts.len() > MOST_SERVERS {
        return Err(RedisConfigError::new(setting, format!("{} servers", texts.len()), "1 to 1,000 servers"));
    }
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        let address = connection_address(setting, text, port)?;
        if matches!(address, ConnectionAddr::Unix(_)) {
            return Err(RedisConfigError::new(setting, format!("{text:?}"), "hosts, with or without a port"));
        }
        if addresses.contains(&address) {
            return Err(RedisConfigError::new(setting, format!("{text:?} twice"), "each server once"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn connection_address(setting: &'static str, text: &str, port: u16) -> Result<ConnectionAddr, RedisConfigError> {
    let address = Address::parse(text, port).map_err(|why| {
        // An address with an `@` may contain a password, so it is not repeated.
        let given = if text.contains('@') { why.to_owned() } else { format!("{text:?} ({why})") };
        let allowed = "`host`, `host:port`, `[ipv6]:port` or, for one server, the absolute path of a Unix socket";
        RedisConfigError::new(setting, given, allowed)
    })?;
    Ok(match address {
        Address::Tcp { host, port } => ConnectionAddr::Tcp(host, port),
        #[cfg(unix)]
        Address::Unix(path) => ConnectionAddr::Unix(path),
    })
}

impl Access {
    fn to(&self, address: ConnectionAddr) -> redis::RedisResult<ConnectionInfo> {
        let info = address.into_connection_info()?;
        let settings = self.settings(RedisConnectionInfo::default());
        self.secured(info.set_redis_settings(settings))
    }

    /// A client's settings, overridden by those that are set here.
    fn instead(&self, info: ConnectionInfo) -> redis::RedisResult<ConnectionInfo> {
        let settings = self.settings(info.redis_settings().clone());
        self.secured(info.set_redis_settings(settings))
    }

    fn settings(&self, settings: RedisConnectionInfo) -> RedisConnectionInfo {
        let settings = settings.set_db(self.database);
        match &self.credentials {
            None => settings,
            Some((None, password)) => settings.set_password(&**password),
            Some((Some(user), password)) => settings.set_username(user).set_password(&**password),
        }
    }

    #[cfg(feature = "redis-tls")]
    fn secured(&self, info: ConnectionInfo) -> redis::RedisResult<ConnectionInfo> {
        match &self.tls {
            Some(tls) => tls.secured(info),
            None => Ok(info),
        }
    }

    #[cfg(not(feature = "redis-tls"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the form with TLS can fail")]
    fn secured(&self, info: ConnectionInfo) -> redis::RedisResult<ConnectionInfo> {
        Ok(info)
    }

    fn by_sentinels(
        &self,
        sentinels: Vec<ConnectionAddr>,
        name: &str,
        settings: LinkSettings,
    ) -> Result<Link, RedisConfigError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_name) {
            let allowed = "a primary's name of letters, digits, `.`, `-` and `_`, as in `sentinel monitor`";
            return Err(RedisConfigError::new("sentinels", format!("the name {name:?}"), allowed));
        }
        let client = self.sentinel_client(sentinels, name).map_err(|error| {
            RedisConfigError::new("sentinels", error.to_string(), "Sentinels that this build supports")
        })?;
        #[cfg(feature = "redis-tls")]
        let tls = self.tls.is_some();
        #[cfg(not(feature = "redis-tls"))]
        let tls = false;
        Ok(Link::sentinel(client, name.to_owned(), tls, settings))
    }

    fn sentinel_client(
        &self,
        sentinels: Vec<ConnectionAddr>,
        name: &str,
    ) -> redis::RedisResult<redis::sentinel::SentinelClient> {
        let infos = sentinels.into_iter().map(|address| self.secured(address.into_connection_info()?));
        let addresses: Vec<_> = infos.map(|info| Ok(info?.addr().clone())).collect::<redis::RedisResult<_>>()?;
        let mut client = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?
            .set_client_to_redis_db(self.database)
            .set_client_to_redis_tcp_settings(TcpSettings::default().set_nodelay(true));
        #[cfg(feature = "redis-tls")]
        if let Some(tls) = &self.tls {
            client = client
                .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
                .set_client_to_redis_certificates(tls.certificates());
        }
        if let Some((user, password)) = &self.credentials {
            client = client.set_client_to_redis_password(&**password);
            if let Some(user) = user {
                client = client.set_client_to_redis_username(user);
            }
        }
        if let Some((user, password)) = &self.sentinel_credentials {
            client = client.set_client_to_sentinel_password(&**password);
            if let Some(user) = user {
                client = client.set_client_to_sentinel_username(user);
            }
        }
        client.build()
    }
}
