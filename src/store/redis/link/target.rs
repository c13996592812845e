//! The target of a connection.

use std::fmt;

use redis::{Client, ConnectionAddr, ProtocolVersion, RedisError, sentinel::SentinelClient};
use tokio::sync::Mutex;

use super::error::Cause;

/// A server at a fixed address, or the primary that Sentinels name.
pub(super) enum Target {
    Server(Client),
    /// The primary, looked up at each attempt to connect.
    Master {
        sentinels: Mutex<SentinelClient>,
        name: String,
        #[cfg_attr(not(feature = "redis-tls"), allow(dead_code, reason = "there is no TLS"))]
        tls: bool,
    },
}

impl Target {
    pub(super) fn server(client: &Client) -> Result<Self, RedisError> {
        tuned(client).map(Self::Server)
    }

    /// The primary with this name, which is also shown in messages.
    pub(super) fn master(sentinels: SentinelClient, name: String, tls: bool) -> Self {
        Self::Master { sentinels: Mutex::new(sentinels), name, tls }
    }

    /// Returns a client for the server to connect to now.
    pub(super) async fn client(&self) -> Result<Client, Cause> {
        let down = |error: RedisError| Cause::Down(error.to_string().into());
        #[cfg(feature = "redis-tls")]
        if self.is_by_tls() {
            super::tls::provide_cryptography();
        }
        match self {
            Self::Server(client) => Ok(client.clone()),
            // The client queries the Sentinels, and then the server's role. It repeats only these queries.
            Self::Master { sentinels, .. } => {
                let found = sentinels.lock().await.async_get_client().await;
                tuned(&found.map_err(down)?).map_err(down)
            }
        }
    }

    #[cfg(feature = "redis-tls")]
    fn is_by_tls(&self) -> bool {
        match self {
            Self::Server(client) => matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }),
            Self::Master { tls, .. } => *tls,
        }
    }

    /// Refuses a server that Sentinels have named, but that has become a replica since.
    pub(super) fn check_role(&self, role: &str) -> Result<(), Cause> {
        match self {
            Self::Master { .. } if role != "master" => Err(Cause::Down(format!("its role is {role}").into())),
            _ => Ok(()),
        }
    }
}

/// Returns a client with the settings that a [`Server`](super::server::Server) relies on.
fn tuned(client: &Client) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    // With RESP3, the client reports when a connection ends, so that the next request isn't lost on it.
    let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Client::open(info.set_redis_settings(resp3).set_tcp_settings(tcp))
}

/// Returns a client with the same settings for another address.
pub(super) fn elsewhere(client: &Client, host: String, port: u16) -> Result<Client, RedisError> {
    let info = client.get_connection_info().clone();
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    Client::open(info.set_addr(address))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(client) => client.get_connection_info().addr().fmt(f),
            Self::Master { name, .. } => write!(f, "{name} (by Sentinel)"),
        }
    }
}
