//! The cookie's name, prefix and attributes.

use std::fmt;

use super::write::Cookie;
use crate::id::MAX_NAME_BYTES;

/// The cookie's name, without prefix, unless the configuration says otherwise.
pub(crate) const DEFAULT_NAME: &str = "sid";

/// The session cookie's name, prefix and attributes (RFC 6265bis).
///
/// The default is `__Host-sid; Secure; HttpOnly; SameSite=Lax; Path=/` (OWASP ASVS 5.0, 3.3.1 to 3.3.4). Settings that
/// contradict each other are refused when the layer is built.
///
/// ```
/// use session_layer::{CookieConfig, MemoryStore, SessionLayer};
///
/// let contradiction = CookieConfig::new("__Host-shop").path("/shop");
/// let error = SessionLayer::builder(MemoryStore::new()).cookie(contradiction).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the cookie's prefix `__Host-` contradicts its path `/shop`: the prefix asks for the path `/`"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct CookieConfig {
    name: String,
    prefix: CookiePrefix,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    path: String,
    domain: Option<String>,
    partitioned: bool,
}

/// The prefix by which a browser refuses a cookie whose attributes are weaker than the prefix says (RFC 6265bis,
/// section 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookiePrefix {
    /// The strongest that the other settings allow: `__Host-` for a secure cookie with the path `/` and no domain,
    /// `__Secure-` for any other secure one, none without `Secure`.
    #[default]
    Auto,
    /// The name as it is.
    None,
    /// `__Secure-`: asks for `Secure`.
    Secure,
    /// `__Host-`: asks for `Secure`, the path `/` and no domain.
    Host,
}

/// Which requests from other sites carry the cookie (RFC 6265bis, section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SameSite {
    /// None.
    Strict,
    /// Top-level navigation with a safe method.
    #[default]
    Lax,
    /// All. Asks for `Secure`.
    None,
}

/// Settings that contradict each other, or one that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl CookieConfig {
    /// A cookie of this name, secure by default.
    ///
    /// The name may bring its prefix along (`__Host-sid`); otherwise [`CookiePrefix::Auto`] chooses one.
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
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: None,
            partitioned: false,
        }
    }

    /// The prefix. Default: the strongest that the other settings allow.
    #[must_use]
    pub fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Whether the cookie goes over HTTPS only. Default: yes. (Browsers treat `http://localhost` as secure.)
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether scripts can't see the cookie. Default: yes.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Which requests from other sites carry the cookie. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Below which path the cookie is sent. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// To which domain, subdomains included, the cookie is sent. Default: none, so to the very host that set it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether the cookie is kept apart for each top-level site (CHIPS). Default: no.
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Checks the settings against each other.
    pub(crate) fn build(&self) -> Result<Cookie, ConfigError> {
        self.check_name()?;
        self.check_path()?;
        self.check_domain()?;
        if !self.secure && self.same_site == SameSite::None {
            return Err(contradiction(
                "`SameSite=None`",
                "`secure(false)`",
                "browsers refuse the one without the other",
            ));
        }
        if !self.secure && self.partitioned {
            return Err(contradiction(
                "`partitioned(true)`",
                "`secure(false)`",
                "browsers refuse the one without the other",
            ));
        }
        Ok(Cookie::new(&self.name, self.check_prefix()?, &self.attributes()))
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
        // Browsers compare prefixes without regard to case; a server that does not would read what they never check.
        if ["__host-", "__secure-"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
            return refuse("write one prefix, as `__Host-` or `__Secure-`");
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), ConfigError> {
        let path = &self.path;
        if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "the cookie's path {path:?} is refused: it begins with `/` and has visible ASCII characters but `;`"
        )))
    }

    fn check_domain(&self) -> Result<(), ConfigError> {
        let Some(domain) = &self.domain else { return Ok(()) };
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if domain.split('.').all(is_label) {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "the cookie's domain {domain:?} is refused: write a host name such as `example.org`, without a leading dot"
        )))
    }

    /// The prefix's text.
    fn check_prefix(&self) -> Result<&'static str, ConfigError> {
        match self.prefix {
            CookiePrefix::None => Ok(""),
            CookiePrefix::Auto if !self.secure => Ok(""),
            CookiePrefix::Auto if self.path == "/" && self.domain.is_none() => Ok(HOST),
            CookiePrefix::Auto => Ok(SECURE),
            CookiePrefix::Secure if self.secure => Ok(SECURE),
            CookiePrefix::Secure => Err(insecure(SECURE)),
            CookiePrefix::Host if !self.secure => Err(insecure(HOST)),
            CookiePrefix::Host if self.path != "/" => Err(contradiction(
                "its prefix `__Host-`",
                &format!("its path `{}`", self.path),
                "the prefix asks for the path `/`",
            )),
            CookiePrefix::Host => match &self.domain {
                None => Ok(HOST),
                Some(domain) => Err(contradiction(
                    "its prefix `__Host-`",
                    &format!("its domain `{domain}`"),
                    "the prefix asks for no domain",
                )),
            },
        }
    }

    /// The attributes as they stand behind `name=value`, each with its `; `.
    fn attributes(&self) -> String {
        let mut cookie = cookie::Cookie::new("", "");
        cookie.set_path(&self.path);
        cookie.set_http_only(self.http_only);
        cookie.set_secure(self.secure);
        cookie.set_partitioned(self.partitioned);
        cookie.set_same_site(match self.same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
        });
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain);
        }
        cookie.to_string().trim_start_matches('=').to_owned()
    }
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new(DEFAULT_NAME)
    }
}

/// The default cookie: `__Host-sid`.
impl Default for Cookie {
    fn default() -> Self {
        CookieConfig::default().build().expect("the default settings don't contradict each other")
    }
}

const HOST: &str = "__Host-";
const SECURE: &str = "__Secure-";

fn contradiction(one: &str, other: &str, why: &str) -> ConfigError {
    ConfigError::new(format!("the cookie's {} contradicts {other}: {why}", one.trim_start_matches("its ")))
}

fn insecure(prefix: &str) -> ConfigError {
    contradiction(&format!("its prefix `{prefix}`"), "`secure(false)`", "the prefix asks for a secure cookie")
}

impl fmt::Display for SameSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        })
    }
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

    /// V6: secure by default.
    #[test]
    fn v6_the_defaults() {
        let cookie = CookieConfig::default();
        assert_eq!(cookie.attributes(), "; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(name(cookie), "__Host-sid");
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
            "the cookie's prefix `__Host-` contradicts `secure(false)`: the prefix asks for a secure cookie"
        );
        assert_eq!(
            error(CookieConfig::new("__Host-id").domain("example.org")),
            "the cookie's prefix `__Host-` contradicts its domain `example.org`: the prefix asks for no domain"
        );
        assert_eq!(
            error(CookieConfig::new("id").prefix(CookiePrefix::Secure).secure(false)),
            "the cookie's prefix `__Secure-` contradicts `secure(false)`: the prefix asks for a secure cookie"
        );
        assert_eq!(
            error(CookieConfig::new("id").same_site(SameSite::None).secure(false)),
            "the cookie's `SameSite=None` contradicts `secure(false)`: browsers refuse the one without the other"
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
