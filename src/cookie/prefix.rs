//! The prefix of the cookie's name.

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

pub(super) const HOST: &str = "__Host-";
pub(super) const SECURE: &str = "__Secure-";
