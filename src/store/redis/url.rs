//! A store's settings from a URL.
//!
//! ```text
//! redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?OPTIONS]
//! redis+unix://[[USER]:PASSWORD@]/PATH[?OPTIONS]
//! redis-cluster://[[USER]:PASSWORD@]HOST[:PORT],…[?OPTIONS]
//! redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/NAME[/DATABASE][?OPTIONS]
//! ```
//!
//! `rediss` instead of `redis` is the same with TLS. `valkey` and `valkeys` are other names for the two. No part is
//! guessed. No error repeats anything before an `@`, since it may be part of a password.

use std::time::Duration;

use super::{builder::RedisStoreBuilder, error::RedisConfigError, store::RedisStore};
use crate::url::{Options, StoreUrl, UrlError, decode, decode_secret, path};

/// How the servers are arranged, as the scheme says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Unix,
    Cluster,
    Sentinel,
}

/// The schemes, each with whether it uses TLS.
const SCHEMES: [(&str, Kind, bool); 14] = [
    ("redis", Kind::Single, false),
    ("rediss", Kind::Single, true),
    ("valkey", Kind::Single, false),
    ("valkeys", Kind::Single, true),
    ("redis+unix", Kind::Unix, false),
    ("valkey+unix", Kind::Unix, false),
    ("redis-cluster", Kind::Cluster, false),
    ("rediss-cluster", Kind::Cluster, true),
    ("valkey-cluster", Kind::Cluster, false),
    ("valkeys-cluster", Kind::Cluster, true),
    ("redis-sentinel", Kind::Sentinel, false),
    ("rediss-sentinel", Kind::Sentinel, true),
    ("valkey-sentinel", Kind::Sentinel, false),
    ("valkeys-sentinel", Kind::Sentinel, true),
];

/// The options that every scheme has.
const OPTIONS: [&str; 6] = ["prefix", "timeout_ms", "connect_timeout_ms", "connections", "replicas", "tracking_ms"];

impl RedisStore {
    /// Creates a store from a URL, such as `redis://user:password@10.0.0.1/2?prefix=shop`. The URL is written as for
    /// [`connect`](crate::connect()), without the option `cache`. Nothing is connected yet.
    ///
    /// ```
    /// use session_layer::RedisStore;
    ///
    /// let store = RedisStore::from_url("redis-sentinel://10.0.0.1,10.0.0.2,10.0.0.3/sessions")?;
    /// let error = RedisStore::from_url("redis://10.0.0.1,10.0.0.2").unwrap_err();
    /// assert!(error.to_string().contains("write `redis-cluster://HOST,HOST` for a cluster"));
    /// # Ok::<(), session_layer::store::RedisConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if a part of the URL is invalid. It says what to write instead, and contains no password.
    pub fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        RedisStoreBuilder::from_url(url)?.build()
    }
}

impl RedisStoreBuilder {
    /// Returns the settings of a URL, to which others can be added; see [`RedisStore::from_url`].
    ///
    /// # Errors
    ///
    /// Those of [`RedisStore::from_url`].
    pub fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        let read = StoreUrl::parse(url).and_then(|url| read(&url, &[]));
        Ok(read.map_err(|error| RedisConfigError::of_url(&error))?.0)
    }
}

/// The names of the schemes.
#[cfg(feature = "url")]
pub(crate) fn schemes() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().map(|(name, ..)| *name)
}

/// Reads the settings of a URL with one of the [`schemes`]. Besides its own options, the URL may have the options in
/// `others`, which are returned along with the rest.
pub(crate) fn read(url: &StoreUrl<'_>, others: &[&str]) -> Result<(RedisStoreBuilder, Options), UrlError> {
    let Some((_, kind, tls)) = SCHEMES.iter().find(|(name, ..)| *name == url.scheme).copied() else {
        return Err(UrlError::new(format!(
            "the store URL's scheme `{}:` is not a Redis scheme: write `redis://HOST`, `redis+unix:///PATH`, \
             `redis-cluster://HOST,HOST` or `redis-sentinel://HOST,HOST/NAME`",
            url.scheme
        )));
    };
    let options = options(url, kind, tls, others)?;
    let target = Target { scheme: &url.scheme, kind, rest: "" };
    let builder = target.of(url.target)?;
    let builder = secured(builder, &url.scheme, tls, &options)?;
    Ok((with_options(builder, &options)?, options))
}

/// The part between the scheme and the options.
struct Target<'a> {
    scheme: &'a str,
    kind: Kind,
    /// The path after the servers, without the leading slash.
    rest: &'a str,
}

impl<'a> Target<'a> {
    fn form(&self) -> &'static str {
        match self.kind {
            Kind::Single => "HOST/DATABASE",
            Kind::Unix => "/PATH",
            Kind::Cluster => "HOST,HOST",
            Kind::Sentinel => "HOST,HOST/NAME",
        }
    }

    fn wrong<T>(&self, what: &str) -> Result<T, UrlError> {
        Err(UrlError::new(format!("the store URL {what}")))
    }

    fn of(mut self, target: &'a str) -> Result<RedisStoreBuilder, UrlError> {
        let (scheme, form) = (self.scheme, self.form());
        let Some(target) = target.strip_prefix("//") else {
            return self.wrong(&format!("`{scheme}:` has no `//`: write `{scheme}://{form}`"));
        };
        let (authority, rest) = match target.find('/') {
            Some(slash) => (&target[..slash], Some(&target[slash..])),
            None => (target, None),
        };
        if rest.is_some_and(|rest| rest.contains('@')) {
            return self.wrong(&format!(
                "has an `@` behind a `/`: write `{scheme}://USER:PASSWORD@{form}`, and `%2F` for a `/` and `%40` for an \
                 `@` in a password, path or name"
            ));
        }
        let (user, servers) = match authority.rsplit_once('@') {
            Some((user, servers)) => (Some(user), servers),
            None => (None, authority),
        };
        let builder = match user {
            Some(user) => self.credentials(user)?,
            None => RedisStoreBuilder::default(),
        };
        self.rest = rest.map(|rest| &rest[1..]).unwrap_or_default();
        match self.kind {
            Kind::Unix => self.socket(builder, servers, rest),
            _ if servers.is_empty() => self.no_server(rest),
            Kind::Single => self.single(builder, servers, rest.is_some()),
            Kind::Cluster => {
                if rest.is_some() {
                    return self.wrong(
                        "has a `/` behind the cluster's nodes, which have one database: remove it, or write \
                         `?prefix=NAME` for a prefix of the keys",
                    );
                }
                Ok(builder.cluster(self.servers(servers)?))
            }
            Kind::Sentinel => self.sentinel(builder, servers),
        }
    }

    fn credentials(&self, text: &str) -> Result<RedisStoreBuilder, UrlError> {
        let (scheme, form) = (self.scheme, self.form());
        if text.contains(['@', ',']) {
            return self.wrong(&format!(
                "has an `@` or a `,` in the place of the user and the password: write `{scheme}://USER:PASSWORD@{form}`, \
                 user and password once, and `%40` and `%2C` for the characters"
            ));
        }
        let Some((user, password)) = text.split_once(':').filter(|(_, password)| !password.is_empty()) else {
            return self.wrong(&format!(
                "has an `@` without a password before it: write `{scheme}://USER:PASSWORD@{form}`, \
                 `{scheme}://:PASSWORD@{form}` for the default user, or no `@`"
            ));
        };
        let password = decode_secret(password, "password")?;
        let builder = RedisStoreBuilder::default();
        Ok(match user {
            "" => builder.password(password),
            user => builder.credentials(decode_secret(user, "user")?, password),
        })
    }

    fn no_server(&self, rest: Option<&str>) -> Result<RedisStoreBuilder, UrlError> {
        let (scheme, form) = (self.scheme, self.form());
        match rest {
            Some(path) if self.kind == Kind::Single && path.len() > 1 => self.wrong(&format!(
                "names no server before {path:?}: write `{}+unix://{path}` for a Unix socket, or `{scheme}://{form}`",
                if scheme.starts_with("valkey") { "valkey" } else { "redis" }
            )),
            _ => self.wrong(&format!("names no server: write `{scheme}://{form}`")),
        }
    }

    fn single(&self, builder: RedisStoreBuilder, server: &str, slash: bool) -> Result<RedisStoreBuilder, UrlError> {
        let scheme = self.scheme;
        if server.contains(',') {
            return self.wrong(&format!(
                "names several servers: write `{scheme}-cluster://HOST,HOST` for a cluster, or \
                 `{scheme}-sentinel://HOST,HOST/NAME` for Sentinels"
            ));
        }
        let builder = builder.server(self.server(server)?);
        if !slash {
            return Ok(builder);
        }
        if self.rest.is_empty() {
            return self.wrong(&format!(
                "ends in `/` and no database follows: remove it, or write `{scheme}://HOST/0`; a prefix is an option: \
                 `?prefix=NAME`"
            ));
        }
        Ok(builder.database(self.database(self.rest)?))
    }

    fn database(&self, text: &str) -> Result<u32, UrlError> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).ok_or_else(|| {
            UrlError::new(format!(
                "the store URL's database is {text:?}: it is a number such as 0; write `?prefix=NAME` for a prefix of the \
                 keys"
            ))
        })
    }

    fn socket(
        &self,
        builder: RedisStoreBuilder,
        host: &str,
        rest: Option<&str>,
    ) -> Result<RedisStoreBuilder, UrlError> {
        let scheme = self.scheme;
        let file = rest.unwrap_or_default();
        if !host.is_empty() {
            return self.wrong(&format!(
                "has {host:?} where a host stands, and a socket has none: write `{scheme}:///{host}{file}`"
            ));
        }
        if file.len() < 2 {
            return self.wrong(&format!("names no socket: write `{scheme}:///run/redis.sock`"));
        }
        Ok(builder.server(path(file)?))
    }

    fn sentinel(&self, builder: RedisStoreBuilder, servers: &str) -> Result<RedisStoreBuilder, UrlError> {
        let scheme = self.scheme;
        let (name, database) = match self.rest.split_once('/') {
            Some((name, database)) => (name, Some(database)),
            None => (self.rest, None),
        };
        if name.is_empty() {
            return self.wrong(&format!(
                "names no primary behind the Sentinels: write `{scheme}://HOST,HOST/NAME`, the name that they know it by"
            ));
        }
        let builder = builder.sentinels(self.servers(servers)?, decode(name)?);
        Ok(match database {
            None => builder,
            Some(database) => builder.database(self.database(database)?),
        })
    }

    fn servers(&self, text: &str) -> Result<Vec<String>, UrlError> {
        text.split(',').map(|server| self.server(server)).collect()
    }

    fn server(&self, text: &str) -> Result<String, UrlError> {
        let (scheme, form) = (self.scheme, self.form());
        if text.is_empty() {
            return self.wrong(&format!(
                "has an empty server in its list: write `{scheme}://{form}`, with commas only between servers"
            ));
        }
        let server = decode_secret(text, "server")?;
        // A text like `user:password` without a host is not repeated.
        let port = server.rsplit_once(':').map(|(_, port)| port).filter(|_| !server.starts_with('['));
        if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return self.wrong(&format!(
                "has a server whose port is not a number: write `HOST:PORT`, or `{scheme}://USER:PASSWORD@{form}`"
            ));
        }
        if server.contains(['@', '/']) {
            return self.wrong(&format!(
                "has an `@` or a `/` in the place of a server: write `{scheme}://USER:PASSWORD@{form}`"
            ));
        }
        Ok(server.into_owned())
    }
}

/// Reads the options. Errors repeat nothing that may be part of a password.
fn options(url: &StoreUrl<'_>, kind: Kind, tls: bool, others: &[&str]) -> Result<Options, UrlError> {
    let mut names = OPTIONS.to_vec();
    if kind == Kind::Unix {
        names.push("database");
    }
    if kind == Kind::Sentinel {
        names.extend(["sentinel_user", "sentinel_password"]);
    }
    if tls {
        names.push("ca");
    }
    names.extend(others);
    let scheme = &url.scheme;
    if url.query().is_some_and(|query| query.contains('@')) {
        return Err(UrlError::new(
            "the store URL has an `@` behind its `?`: write `%3F` for a `?` in a password, and `%40` for an `@` in an option",
        ));
    }
    for name in url.query().into_iter().flat_map(|query| query.split('&')) {
        let name = name.split('=').next().unwrap_or(name);
        let meant = match name {
            "user" | "username" | "password" | "pass" | "auth" => {
                format!("user and password stand before the servers: write `{scheme}://USER:PASSWORD@…`")
            }
            "db" | "database" if kind == Kind::Single => {
                format!("the database stands behind the server: write `{scheme}://HOST/2`")
            }
            "db" if kind == Kind::Unix => "write `database`".to_owned(),
            _ => continue,
        };
        if !names.contains(&name) {
            return Err(UrlError::new(format!("the store URL's option `{name}` is unknown: {meant}")));
        }
    }
    url.options(&names)
}

fn with_options(mut builder: RedisStoreBuilder, options: &Options) -> Result<RedisStoreBuilder, UrlError> {
    if let Some(prefix) = options.text("prefix")? {
        if prefix.ends_with(':') {
            return Err(UrlError::new(format!(
                "the store URL's prefix {prefix:?} ends in a colon, and one is added: remove it"
            )));
        }
        builder = builder.prefix(format!("{prefix}:"));
    }
    if let Some(number) = options.number("database")? {
        builder = builder.database(number);
    }
    if let Some(millis) = options.number("timeout_ms")? {
        builder = builder.request_timeout(Duration::from_millis(millis));
    }
    if let Some(millis) = options.number("connect_timeout_ms")? {
        builder = builder.connect_timeout(Duration::from_millis(millis));
    }
    if let Some(connections) = options.number("connections")? {
        builder = builder.connections(connections);
    }
    if let Some(replicas) = options.number("replicas")? {
        builder = builder.replicas(replicas);
    }
    if let Some(millis) = options.number("tracking_ms")? {
        builder = builder.tracking(Duration::from_millis(millis));
    }
    match (options.secret("sentinel_user")?, options.secret("sentinel_password")?) {
        (user, Some(password)) => Ok(builder.sentinel_credentials(user, password)),
        (None, None) => Ok(builder),
        (Some(_), None) => Err(UrlError::new(
            "the store URL has the option `sentinel_user` without `sentinel_password`: write both, or the password alone",
        )),
    }
}

#[cfg(feature = "redis-tls")]
fn secured(builder: RedisStoreBuilder, _: &str, tls: bool, options: &Options) -> Result<RedisStoreBuilder, UrlError> {
    use super::link::RedisTls;

    if !tls {
        return Ok(builder);
    }
    let Some(file) = options.path("ca")? else { return Ok(builder.tls(RedisTls::with_system_roots())) };
    let wrong = |why: &str| UrlError::new(format!("the store URL's option `ca` is {file:?}: {why}"));
    let pem = std::fs::read(&file).map_err(|error| wrong(&error.to_string()))?;
    Ok(builder.tls(RedisTls::with_roots_pem(&pem).map_err(|error| wrong(&error.to_string()))?))
}

#[cfg(not(feature = "redis-tls"))]
fn secured(builder: RedisStoreBuilder, scheme: &str, tls: bool, _: &Options) -> Result<RedisStoreBuilder, UrlError> {
    if !tls {
        return Ok(builder);
    }
    Err(UrlError::new(format!(
        "the store URL's scheme `{scheme}:` needs TLS, which is not compiled in: enable the feature `redis-tls` of \
         session-layer in Cargo.toml"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other forms are tested in tests/connect.rs.
    #[test]
    fn a_store_is_made_from_its_urls_only() {
        for url in ["redis://a/1?prefix=shop&replicas=1", "redis-cluster://a,b", "valkey-sentinel://a/n"] {
            assert!(RedisStore::from_url(url).is_ok(), "{url}");
        }
        for (url, why) in [
            ("memcached://a", "is not a Redis scheme: write `redis://HOST`"),
            ("redis://a?cache=10", "`cache` is unknown"),
            ("", "empty"),
        ] {
            let error = RedisStore::from_url(url).unwrap_err();
            assert_eq!(error.setting(), "url");
            assert!(error.to_string().contains(why), "{url}: {error}");
        }
        assert_eq!(RedisStore::from_url("redis://a?connections=0").unwrap_err().setting(), "connections");
        let shown = format!("{:?}", RedisStoreBuilder::from_url("redis://bob:hunter2@a").unwrap());
        assert!(shown.contains("\"a\"") && !shown.contains("hunter2"), "{shown}");
    }
}
