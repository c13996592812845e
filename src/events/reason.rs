//! Why there is no session.

use std::fmt;

/// Why a request has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoSessionReason {
    /// It brought no cookie of ours.
    NoCookie,
    /// The cookie's value has not the form of a token.
    Malformed,
    /// The cookie's value is signed by no key of the ring.
    Forged,
    /// No such session is stored, or the token does not fit it. Where the store can't tell, it may have expired.
    Unknown,
    /// It has expired. Stores that keep their records in this process's memory can tell, until they have swept it.
    Expired,
    /// Its token was replaced by a newer one, at a login or a renewal.
    Superseded,
    /// Its owner's sessions were revoked.
    Revoked,
}

impl NoSessionReason {
    /// The reason in lower case, as it stands in events: `no cookie`, `malformed`, `unknown`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCookie => "no cookie",
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for NoSessionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
