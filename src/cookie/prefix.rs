//! The prefix of the cookie's name.

/// The prefix of the cookie's name. A browser refuses a cookie whose attributes are weaker than its prefix requires
/// (RFC 6265bis, section 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookiePrefix {
    /// The strongest that the other settings allow: `__Host-` for a secure cookie with the path `/` and no domain,
    /// `__Secure-` for any other secure one, none without `Secure`.
    #[default]
    Auto,
    /// No prefix.
    None,
    /// `__Secure-`: requires `Secure`.
    Secure,
    /// `__Host-`: requires `Secure`, the path `/` and no domain.
    Host,
}

pub(super) const HOST: &str = "__Host-";
pub(super) const SECURE: &str = "__Secure-";
