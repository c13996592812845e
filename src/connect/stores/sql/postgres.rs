//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{
    super::observer::StoreObserver,
    server::{Product, Server},
    settings::{Settings, YES_NO, connections},
};
use crate::{
    connect::error::ConnectError,
    store::{DynStore, SqlStore, address::Address},
    url::StoreUrl,
};

const PRODUCT: Product = Product { scheme: "postgres", port: 5_432, socket: "%2Frun%2Fpostgresql" };

const MODES: [(&str, PgSslMode); 6] = [
    ("disable", PgSslMode::Disable),
    ("allow", PgSslMode::Allow),
    ("prefer", PgSslMode::Prefer),
    ("require", PgSslMode::Require),
    ("verify-ca", PgSslMode::VerifyCa),
    ("verify-full", PgSslMode::VerifyFull),
];

/// The parsed URL.
struct Parsed {
    connection: PgConnectOptions,
    connections: u32,
    schema: Option<String>,
    prepared: Option<bool>,
    settings: Settings,
}

pub(in super::super) async fn postgres(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    let Parsed { connection, connections, schema, prepared, settings } = parse(url)?;
    let mut builder = SqlStore::postgres_with(connection, connections);
    if let Some(schema) = schema {
        builder = builder.schema(schema);
    }
    if let Some(prepared) = prepared {
        builder = builder.prepared_statements(prepared);
    }
    settings.open("PostgreSQL", builder, observer).await
}

fn parse(url: &StoreUrl<'_>) -> Result<Parsed, ConnectError> {
    let server = Server::parse(url, &PRODUCT)?;
    let own = ["connections", "schema", "prepared_statements", "sslmode", "sslrootcert"];
    let options = url.options(&[&Settings::NAMES[..], &own].concat())?;
    let (settings, connections) = (Settings::parse(&options)?, connections(&options)?);
    let mut connection = connection(&server)?;
    if let Some(mode) = options.word("sslmode", &MODES)? {
        connection = connection.ssl_mode(mode);
    }
    if let Some(file) = options.path("sslrootcert")? {
        connection = connection.ssl_root_cert(file);
    }
    Ok(Parsed {
        connection,
        connections,
        schema: options.text("schema")?,
        prepared: options.word("prepared_statements", &YES_NO)?,
        settings,
    })
}

/// Returns the connection options. As usual with sqlx, libpq's variables and password file supply what the URL omits.
fn connection(server: &Server) -> Result<PgConnectOptions, ConnectError> {
    // sqlx reads the password file only when it parses a URL. This URL has no password, so no error can reveal one.
    let host = match &server.address {
        Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        Address::Tcp { host, port } => format!("{host}:{port}"),
        #[cfg(unix)]
        Address::Unix(path) => {
            format!("{}:{}", encoded(&path.to_string_lossy()), server.socket_port.unwrap_or(PRODUCT.port))
        }
    };
    let url = format!("postgres://{}@{host}/{}", encoded(&server.user), encoded(&server.database));
    let mut options: PgConnectOptions = url.parse().map_err(|error| ConnectError::opening("PostgreSQL", error))?;
    if let Some(password) = &server.password {
        options = options.password(password);
    }
    // PgBouncer refuses connections with this setting, and no floating-point numbers are stored.
    Ok(options.extra_float_digits(None))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
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
        let url = "postgres://bob%40x:hun%2Fter%3F2%25:@db.example:6543/shop%2Fmain?table=t&schema=s%20t&connections=3&\
                   timeout_ms=1500&create=yes&sweep_interval_s=0&cache=5&\
                   sslmode=verify-full&prepared_statements=no";
        let Parsed { connection, connections, schema, prepared, settings } = parsed(url);
        assert_eq!((connection.get_host(), connection.get_port()), ("db.example", 6_543));
        assert_eq!((connection.get_username(), connection.get_database()), ("bob@x", Some("shop/main")));
        assert_eq!(connection.get_socket(), None);
        assert!(matches!(connection.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(connections, 3);
        assert_eq!((schema.as_deref(), settings.table.as_deref()), (Some("s t"), Some("t")));
        assert_eq!((settings.create, prepared), (true, Some(false)));
        assert_eq!(settings.timeout.map(|time| time.as_millis()), Some(1_500));
        assert_eq!((settings.sweep_interval, settings.cache), (Some(None), Some(5)));
    }

    #[test]
    fn the_defaults_are_those_of_the_builder() {
        let Parsed { connection, connections, schema, prepared, settings } =
            parsed("postgresql://bob@[2001:db8::3]/shop");
        assert_eq!((connection.get_host(), connection.get_port()), ("[2001:db8::3]", 5_432));
        assert_eq!(connections, 10);
        assert_eq!((schema, prepared, settings.table, settings.create), (None, None, None, false));
        assert_eq!((settings.timeout, settings.sweep_interval, settings.cache), (None, None, None));
    }

    #[test]
    fn a_socket_is_a_directory_and_a_port() {
        for (url, port) in [
            ("postgres://bob@%2Frun%2Fpostgresql/shop", 5_432),
            ("postgres://bob@%2frun%2fpostgresql:5433/shop", 5_433),
        ] {
            let connection = parsed(url).connection;
            assert_eq!(connection.get_socket().and_then(|path| path.to_str()), Some("/run/postgresql"));
            assert_eq!(connection.get_port(), port);
        }
    }
}
