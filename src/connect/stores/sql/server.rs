//! The user, the server and the database in a URL.

use zeroize::Zeroizing;

use crate::{
    connect::error::ConnectError,
    store::address::Address,
    url::{StoreUrl, decode, decode_secret},
};

/// A database product's defaults, and the parts of its URLs that errors show.
pub(super) struct Product {
    /// The scheme in errors, even if the URL uses an alias.
    pub(super) scheme: &'static str,
    pub(super) port: u16,
    /// The usual path of its Unix socket, percent-encoded.
    pub(super) socket: &'static str,
}

/// `USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// No error repeats any part of it but the database's name: if an `@`, `/` or `?` in a password is not percent-encoded,
/// parts of the password end up in the other fields.
pub(super) struct Server {
    pub(super) user: String,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) address: Address,
    /// For a Unix socket of PostgreSQL, whose file name contains the port.
    pub(super) socket_port: Option<u16>,
    pub(super) database: String,
}

impl Server {
    pub(super) fn parse(url: &StoreUrl<'_>, product: &Product) -> Result<Self, ConnectError> {
        let wrong = |what: &str| {
            let form = format!("{}://USER:PASSWORD@HOST/DATABASE", product.scheme);
            Err(ConnectError::new(format!("the store URL {what}").replace("FORM", &form)))
        };
        let Some(rest) = url.target.strip_prefix("//") else { return wrong("has no `//`: write `FORM`") };
        let (authority, database) = match rest.split_once('/') {
            Some((authority, database)) => (authority, Some(database)),
            None => (rest, None),
        };
        if database.is_some_and(|database| database.contains('@')) || url.has_at_in_options() {
            return wrong(
                "has an `@` after the host: write `%40` for the character, and in a password also `%2F` for `/`, \
                 `%3F` for `?` and `%23` for `#`",
            );
        }
        let Some((user, host)) = authority.rsplit_once('@') else { return wrong("names no user: write `FORM`") };
        if user.contains('@') {
            return wrong(
                "has two `@` before the database: write `%40` for the one in the user's name or the password",
            );
        }
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user, None),
        };
        if user.is_empty() {
            return wrong("names no user: write `FORM`");
        }
        if password == Some("") {
            return wrong("has a `:` and no password after the user: remove it, or write `FORM`");
        }
        let (address, socket_port) = address(host, product)?;
        let Some(database) = database.filter(|database| !database.is_empty()) else {
            return wrong("names no database: write `FORM`");
        };
        if database.contains('/') {
            return wrong("has a `/` in the database's name: write `%2F` for the character, or remove it");
        }
        if database.contains([',', ';', '&', '=']) {
            return wrong(
                "has a separator in the database's name: write `?` before the options, or its percent-encoded form (a \
                 comma is `%2C`) for the character",
            );
        }
        Ok(Self {
            user: decode_secret(user, "user")?.into_owned(),
            password: password.map(|password| secret(password, "password")).transpose()?,
            address,
            socket_port,
            database: decode(database)?.into_owned(),
        })
    }
}

fn secret(text: &str, what: &str) -> Result<Zeroizing<String>, ConnectError> {
    Ok(Zeroizing::new(decode_secret(text, what)?.into_owned()))
}

/// Returns the address and the port that follows a socket's path.
fn address(text: &str, product: &Product) -> Result<(Address, Option<u16>), ConnectError> {
    let Product { scheme, port, socket } = product;
    let wrong = |what: &str| Err(ConnectError::new(format!("the store URL {what}")));
    if text.is_empty() {
        return wrong(&format!(
            "names no host: write `{scheme}://USER@HOST/DATABASE`, or `{scheme}://USER@{socket}/DATABASE` for a Unix socket"
        ));
    }
    if text.contains(',') {
        return wrong(&format!(
            "names several servers, and sessions are on one: write `{scheme}://USER@HOST/DATABASE`, with the name of the \
             primary or of a proxy that finds it"
        ));
    }
    let refused = |why: &str| ConnectError::new(format!("the store URL's host is wrong: {why}"));
    if !text.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("%2F")) {
        return Ok((Address::parse(text, *port).map_err(refused)?, None));
    }
    let (path, rest) = match text.split_once(':') {
        Some((path, port)) => (path, Some(port)),
        None => (text, None),
    };
    let path = decode_secret(path, "socket")?;
    let address = Address::parse(&path, *port).map_err(refused)?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|&port| digits && port != 0)
            .ok_or_else(|| refused("its port is not between 1 and 65535"))
    };
    Ok((address, rest.map(number).transpose()?))
}
