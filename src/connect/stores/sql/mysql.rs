//! `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, also as `mariadb://`.

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::{
    super::observer::StoreObserver,
    server::{Product, Server},
    settings::{Settings, connections},
};
use crate::{
    connect::error::ConnectError,
    store::{DynStore, SqlStore, address::Address},
    url::StoreUrl,
};

const PRODUCT: Product = Product { scheme: "mysql", port: 3_306, socket: "%2Frun%2Fmysqld%2Fmysqld.sock" };

const MODES: [(&str, MySqlSslMode); 5] = [
    ("DISABLED", MySqlSslMode::Disabled),
    ("PREFERRED", MySqlSslMode::Preferred),
    ("REQUIRED", MySqlSslMode::Required),
    ("VERIFY_CA", MySqlSslMode::VerifyCa),
    ("VERIFY_IDENTITY", MySqlSslMode::VerifyIdentity),
];

/// The parsed URL.
struct Parsed {
    connection: MySqlConnectOptions,
    connections: u32,
    settings: Settings,
}

pub(in super::super) async fn mysql(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let Parsed { connection, connections, settings } = parse(url)?;
    settings.open("MySQL", SqlStore::mysql_with(connection, connections), observer).await
}

fn parse(url: &StoreUrl<'_>) -> Result<Parsed, ConnectError> {
    let server = Server::parse(url, &PRODUCT)?;
    let options = url.options(&[&Settings::NAMES[..], &["connections", "ssl-mode", "ssl-ca"]].concat())?;
    let (settings, connections) = (Settings::parse(&options)?, connections(&options)?);
    let mut connection = connection(&server)?;
    if let Some(mode) = options.word("ssl-mode", &MODES)? {
        connection = connection.ssl_mode(mode);
    }
    if let Some(file) = options.path("ssl-ca")? {
        connection = connection.ssl_ca(file);
    }
    Ok(Parsed { connection, connections, settings })
}

fn connection(server: &Server) -> Result<MySqlConnectOptions, ConnectError> {
    if server.socket_port.is_some() {
        return Err(ConnectError::new(
            "the store URL has a port after its socket, which has none: write \
             `mysql://USER@%2Frun%2Fmysqld%2Fmysqld.sock/DATABASE`",
        ));
    }
    let options = MySqlConnectOptions::new().username(&server.user).database(&server.database);
    let options = match &server.address {
        Address::Tcp { host, port } => options.host(host).port(*port),
        #[cfg(unix)]
        Address::Unix(path) => options.socket(path),
    };
    Ok(match &server.password {
        Some(password) => options.password(password),
        None => options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Parsed {
        StoreUrl::parse(url)
            .map_err(ConnectError::from)
            .and_then(|url| parse(&url))
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn each_part_arrives_where_it_belongs() {
        let url = "mariadb://bob%40x:hun%2Fter2@db.example:3307/shop?table=t&connections=3&\
                   ssl-mode=VERIFY_IDENTITY&sweep_interval_s=60";
        let Parsed { connection, connections, settings } = parsed(url);
        assert_eq!((connection.get_host(), connection.get_port()), ("db.example", 3_307));
        assert_eq!((connection.get_username(), connection.get_database()), ("bob@x", Some("shop")));
        assert!(matches!(connection.get_ssl_mode(), MySqlSslMode::VerifyIdentity));
        assert_eq!(connections, 3);
        assert_eq!(settings.table.as_deref(), Some("t"));
        assert_eq!(settings.sweep_interval.flatten().map(|time| time.as_secs()), Some(60));
    }

    #[test]
    fn a_socket_is_a_file() {
        let connection = parsed("mysql://bob@%2Frun%2Fmysqld%2Fmysqld.sock/shop").connection;
        assert_eq!(
            connection.get_socket().map(|path| path.display().to_string()).as_deref(),
            Some("/run/mysqld/mysqld.sock")
        );
    }
}
