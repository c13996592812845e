//! The cookie's name, prefix and attributes.

use cookie::SameSite;
use sha2::{Digest, Sha256};

use super::{
    prefix::{CookiePrefix, HOST, SECURE},
    scope::{is_domain, is_path},
    session_cookie::SessionCookie,
};
use crate::id::MAX_NAME_BYTES;

/// The default name of the cookie, without prefix.
pub(crate) const DEFAULT_NAME: &str = "sid";

/// The session cookie's name, prefix and attributes (RFC 6265bis).
///
/// The default is `__Host-sid; Secure; HttpOnly; SameSite=Lax; Path=/` (OWASP ASVS 5.0, 3.3.1 to 3.3.4). Settings that
/// contradict each other are refused when the layer is built.
///
/// # Several applications on one host
///
/// **Browsers ignore ports when they send cookies.** Two applications on `example.org:3000` and `example.org:4000`, or
/// two projects under development on `localhost`, share their cookies. If both use the default name, each replaces the
/// other's cookie, and a login to one logs the visitor out of the other. Give each its own name with
/// [`for_app`](Self::for_app):
///
/// ```
/// use session_layer::{CookieConfig, MemoryStore, SessionLayer};
///
/// let layer = SessionLayer::builder(MemoryStore::new()).cookie(CookieConfig::for_app("My Shop")).build()?;
/// # Ok::<(), session_layer::ConfigError>(())
/// ```
///
/// The same holds for applications under different paths of one host, and for subdomains that share a
/// [`domain`](Self::domain): a browser keeps cookies of one name for different paths or domains, and sends all of them.
///
/// # Two live cookies
///
/// A request with the cookies of two live sessions is refused with 400, since an attacker may have planted one of them.
/// Neither session is ended. The answer (any 4xx) removes the cookies of this name that the request can have brought:
/// the configured one and, without the `__Host-` prefix, host-only cookies and those of the `Host` header's domain and
/// its parents, for the request's path and the paths above it. After that the visitor signs in again. Some cookies
/// can't be removed this way, and the visitor has to clear the browser's data:
///
/// - a cookie whose path the server doesn't see, because a proxy or router in front has rewritten the path, or because
///   there are too many paths (at most 16 lines are sent). Without axum,
///   [`SessionHandle::session`](crate::SessionHandle::session) doesn't know the path, so only the configured path and
///   `/` are covered;
/// - a `Partitioned` cookie beside an unpartitioned one, or the other way round.
///
/// Write a logout with [`LazySession::destroy`](crate::LazySession::destroy): it also works with two live cookies, and
/// then ends both sessions.
///
/// # Contradictions
///
/// ```
/// use session_layer::{CookieConfig, MemoryStore, SessionLayer};
///
/// let contradiction = CookieConfig::new("__Host-shop").path("/shop");
/// let error = SessionLayer::builder(MemoryStore::new()).cookie(contradiction).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the cookie's prefix `__Host-` contradicts its path `/shop`: the prefix requires the path `/`"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct CookieConfig {
    name: String,
    prefix: CookiePrefix,
    /// `None` if it was not set; the default is yes.
    secure: Option<bool>,
    http_only: bool,
    same_site: SameSite,
    path: String,
    domain: Option<String>,
    partitioned: bool,
}

/// The error of a configuration: settings contradict each other, or a setting is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl From<ConfigError> for crate::error::Error {
    fn from(error: ConfigError) -> Self {
        Self::setup(error)
    }
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl CookieConfig {
    /// Creates the configuration of a cookie with this name, secure by default.
    ///
    /// The name may include a prefix (`__Host-sid`). Otherwise [`CookiePrefix::Auto`] chooses one.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let mut name = name.into();
        let mut prefix = CookiePrefix::Auto;
        for (text, named) in [(HOST, CookiePrefix::Host), (SECURE, CookiePrefix::Secure)] {
            if let Some(bare) = name.strip_prefix(text) {
                (name, prefix) = (bare.to_owned(), named);
                break;
            }
        }
        Self {
            name,
            prefix,
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            partitioned: false,
        }
    }

    /// Creates the configuration of a cookie that is named after an application, so that several applications on one
    /// host have different cookies.
    ///
    /// The name is that of the application in lower case, with `-` in place of spaces, `-`, `_` and `.`, followed by
    /// `-sid`. Other characters become `-` as well, and the name is cut after 48 characters; in both cases the first
    /// eight hexadecimal digits of the application's SHA-256 are added. So one application always gets the same cookie
    /// name, and two applications share one only if their names differ in nothing but case and separators.
    ///
    /// | application | cookie |
    /// |---|---|
    /// | `My Shop` | `__Host-my-shop-sid` |
    /// | `C++ forum` | `__Host-c-forum-6f4a5836-sid` |
    /// | `本屋` | `__Host-d45a8a98-sid` |
    ///
    /// Renaming the application logs everybody out, since ids are derived from the cookie's name.
    #[must_use]
    pub fn for_app(app: &str) -> Self {
        Self::new(name_for(app))
    }

    /// Sets the prefix. Default: the strongest that the other settings allow.
    #[must_use]
    pub fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Sets whether the cookie is sent over HTTPS only. Default: yes.
    ///
    /// **Over plain HTTP a browser drops such a cookie, and every request is anonymous.** For development without TLS,
    /// set `secure(false)`, which also drops the prefix. Don't rely on `localhost`: Chrome, Firefox and curl (7.79 or
    /// later) accept a `Secure` cookie from `http://localhost` and send it back; Safari and many clients, such as
    /// Python's, don't.
    ///
    /// Behind a proxy that terminates TLS, no setting is needed. If nothing is set here, the layer warns once
    /// ([`SecureCookieOverHttp`](crate::EventKind::SecureCookieOverHttp)) when it creates a session for a request that
    /// seems to have come over plain HTTP: its `Host` is not a loopback name, and neither `X-Forwarded-Proto`,
    /// `Forwarded`, `Sec-Fetch-Site` nor the URI's scheme says that TLS was used. `secure(true)` silences the warning.
    #[doc(alias = "with_secure")]
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = Some(secure);
        self
    }

    /// Sets whether the cookie is hidden from scripts. Default: yes.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets which requests from other sites carry the cookie. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets the path below which the cookie is sent. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the domain to which the cookie is sent, including its subdomains. Default: none, so the cookie is sent
    /// only to the host that set it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets whether browsers keep a separate cookie for each top-level site (CHIPS). Default: no.
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Checks the settings against each other.
    pub(crate) fn build(&self) -> Result<SessionCookie, ConfigError> {
        self.check_name()?;
        self.check_path()?;
        self.check_domain()?;
        if !self.is_secure() && self.same_site == SameSite::None {
            return Err(contradiction("`SameSite=None`", "`secure(false)`", "browsers refuse it without `Secure`"));
        }
        if !self.is_secure() && self.partitioned {
            return Err(contradiction("`partitioned(true)`", "`secure(false)`", "browsers refuse it without `Secure`"));
        }
        let prefix = self.check_prefix()?;
        let mut cookie = cookie::Cookie::new(format!("{prefix}{}", self.name), "");
        cookie.set_http_only(self.http_only);
        cookie.set_same_site(self.same_site);
        cookie.set_partitioned(self.partitioned);
        cookie.set_secure(self.is_secure());
        cookie.set_path(self.path.clone());
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.clone());
        }
        Ok(SessionCookie::new(cookie, &self.name, self.secure.is_none()))
    }

    fn is_secure(&self) -> bool {
        self.secure.unwrap_or(true)
    }

    fn check_name(&self) -> Result<(), ConfigError> {
        let name = &self.name;
        let refuse = |why: &str| Err(ConfigError::new(format!("the cookie's name {name:?} is refused: {why}")));
        // A token (RFC 9110, section 5.6.2).
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        {
            return refuse("use letters, digits and any of !#$%&'*+-.^_`|~");
        }
        if name.len() > MAX_NAME_BYTES {
            return refuse("it has more than 255 bytes");
        }
        // Browsers compare prefixes case-insensitively. A server that doesn't would read cookies that no browser has
        // checked.
        if ["__host-", "__secure-"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
            return refuse("write one prefix, as `__Host-` or `__Secure-`");
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), ConfigError> {
        let path = &self.path;
        if is_path(path) {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "the cookie's path {path:?} is refused: it must begin with `/` and contain only visible ASCII characters except `;`"
        )))
    }

    fn check_domain(&self) -> Result<(), ConfigError> {
        let Some(domain) = &self.domain else { return Ok(()) };
        if is_domain(domain) {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "the cookie's domain {domain:?} is refused: write a host name such as `example.org`, without a leading dot"
        )))
    }

    /// Checks the prefix against the other settings, and returns its text.
    fn check_prefix(&self) -> Result<&'static str, ConfigError> {
        match self.prefix {
            CookiePrefix::None => Ok(""),
            CookiePrefix::Auto if !self.is_secure() => Ok(""),
            CookiePrefix::Auto if self.path == "/" && self.domain.is_none() => Ok(HOST),
            CookiePrefix::Auto => Ok(SECURE),
            CookiePrefix::Secure if self.is_secure() => Ok(SECURE),
            CookiePrefix::Secure => Err(insecure(SECURE)),
            CookiePrefix::Host if !self.is_secure() => Err(insecure(HOST)),
            CookiePrefix::Host if self.path != "/" => Err(contradiction(
                "its prefix `__Host-`",
                &format!("its path `{}`", self.path),
                "the prefix requires the path `/`",
            )),
            CookiePrefix::Host => match &self.domain {
                None => Ok(HOST),
                Some(domain) => Err(contradiction(
                    "its prefix `__Host-`",
                    &format!("its domain `{domain}`"),
                    "the prefix allows no domain",
                )),
            },
        }
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new(DEFAULT_NAME)
    }
}

/// The default cookie: `__Host-sid`.
impl Default for SessionCookie {
    fn default() -> Self {
        CookieConfig::default().build().expect("the default settings don't contradict each other")
    }
}

/// How many characters of an application's name are kept in the cookie's name.
const MAX_APP_CHARS: usize = 48;

/// The cookie's name for an application; see [`CookieConfig::for_app`].
fn name_for(app: &str) -> String {
    let is_separator = |char: char| matches!(char, ' ' | '-' | '_' | '.');
    let words = app.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let is_whole = app.chars().all(|char| char.is_ascii_alphanumeric() || is_separator(char));
    if !is_whole || name.is_empty() || name.len() > MAX_APP_CHARS {
        // The name is ASCII here, so every index is a character boundary.
        name.truncate(MAX_APP_CHARS);
        let digest: [u8; 32] = Sha256::digest(app.as_bytes()).into();
        name.extend((!name.is_empty()).then_some('-'));
        name.extend(
            digest[..4]
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .filter_map(|digit| char::from_digit(u32::from(digit), 16)),
        );
    }
    name + "-sid"
}

fn contradiction(one: &str, other: &str, why: &str) -> ConfigError {
    ConfigError::new(format!("the cookie's {} contradicts {other}: {why}", one.trim_start_matches("its ")))
}

fn insecure(prefix: &str) -> ConfigError {
    contradiction(&format!("its prefix `{prefix}`"), "`secure(false)`", "the prefix requires a secure cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(config: CookieConfig) -> String {
        config.build().unwrap_err().to_string()
    }

    fn name(config: CookieConfig) -> String {
        config.build().unwrap().name().to_owned()
    }

    #[test]
    fn the_defaults_are_secure_http_only_same_site_lax_and_host_prefixed() {
        let cookie = CookieConfig::default();
        assert_eq!(name(cookie), "__Host-sid");
    }

    /// Frozen: another name would log everybody out.
    #[test]
    fn the_name_of_an_application_is_always_the_same() {
        for (app, cookie) in [
            ("My Shop", "__Host-my-shop-sid"),
            ("my_shop", "__Host-my-shop-sid"),
            (" my - shop. ", "__Host-my-shop-sid"),
            ("shop2", "__Host-shop2-sid"),
            ("__Host-shop", "__Host-host-shop-sid"),
            ("C++ forum", "__Host-c-forum-6f4a5836-sid"),
            ("C# forum", "__Host-c-forum-5e152577-sid"),
            ("Café", "__Host-caf-73473dcc-sid"),
            ("本屋", "__Host-d45a8a98-sid"),
            ("; Domain=evil.example\r\nSet-Cookie: x", "__Host-domain-evil-example-set-cookie-x-22af2e58-sid"),
            ("", "__Host-e3b0c442-sid"),
            (" ", "__Host-36a9e7f1-sid"),
        ] {
            assert_eq!(name(CookieConfig::for_app(app)), cookie, "{app:?}");
        }
    }

    #[test]
    fn every_application_has_a_valid_name_and_long_ones_are_told_apart() {
        let long = "x".repeat(10_000);
        let names = [long.clone(), format!("{long}y"), "😀".repeat(300), "\0".to_owned(), "-".repeat(99)];
        let mut names = names.map(|app| name(CookieConfig::for_app(&app)));
        assert!(names.iter().all(|name| name.len() <= 70), "{names:?}");
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        // Other settings still apply.
        assert_eq!(name(CookieConfig::for_app("My Shop").secure(false)), "my-shop-sid");
        assert_eq!(name(CookieConfig::for_app("My Shop").domain("example.org")), "__Secure-my-shop-sid");
    }

    #[test]
    fn the_prefix_follows_the_settings() {
        assert_eq!(name(CookieConfig::new("id").path("/app")), "__Secure-id");
        assert_eq!(name(CookieConfig::new("id").domain("example.org")), "__Secure-id");
        assert_eq!(name(CookieConfig::new("id").secure(false)), "id");
        assert_eq!(name(CookieConfig::new("id").prefix(CookiePrefix::None)), "id");
        assert_eq!(name(CookieConfig::new("id").prefix(CookiePrefix::Secure)), "__Secure-id");
        assert_eq!(name(CookieConfig::new("__Secure-id")), "__Secure-id");
    }

    #[test]
    fn contradictions_name_both_sides() {
        assert_eq!(
            error(CookieConfig::new("__Host-id").secure(false)),
            "the cookie's prefix `__Host-` contradicts `secure(false)`: the prefix requires a secure cookie"
        );
        assert_eq!(
            error(CookieConfig::new("__Host-id").domain("example.org")),
            "the cookie's prefix `__Host-` contradicts its domain `example.org`: the prefix allows no domain"
        );
        assert_eq!(
            error(CookieConfig::new("id").prefix(CookiePrefix::Secure).secure(false)),
            "the cookie's prefix `__Secure-` contradicts `secure(false)`: the prefix requires a secure cookie"
        );
        assert_eq!(
            error(CookieConfig::new("id").same_site(SameSite::None).secure(false)),
            "the cookie's `SameSite=None` contradicts `secure(false)`: browsers refuse it without `Secure`"
        );
        assert!(error(CookieConfig::new("id").partitioned(true).secure(false)).contains("partitioned"));
    }

    #[test]
    fn names_paths_and_domains_are_checked() {
        for wrong in ["", "a b", "a=b", "a;b", "é", "__host-a", "__Host-__Secure-a", &"n".repeat(256)] {
            assert!(error(CookieConfig::new(wrong)).contains("name"), "{wrong:?}");
        }
        for wrong in ["", "app", "/a;b", "/a b", "/\r\nSet-Cookie: x"] {
            assert!(error(CookieConfig::new("id").path(wrong)).contains("path"), "{wrong:?}");
        }
        for wrong in ["", ".example.org", "example..org", "a;b", "a b", "exämple.org"] {
            assert!(error(CookieConfig::new("id").domain(wrong)).contains("domain"), "{wrong:?}");
        }
    }
}
