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

/// Why changes were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The response reports a failure: see [`save_if`](crate::SessionLayerBuilder::save_if).
    Response,
    /// A commit that the handler asked for failed, and the handler did not ask again.
    FailedSave,
    /// The request was dropped before it was answered.
    Request,
    /// The changes were made after the response had begun, and were not saved.
    Unsaved,
}

impl DropReason {
    /// Returns the reason as it is written in events: `response`, `failed save`, `request dropped` or `unsaved`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::FailedSave => "failed save",
            Self::Request => "request dropped",
            Self::Unsaved => "unsaved",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for NoSessionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
