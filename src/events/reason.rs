//! The reasons for a missing session, and for dropped changes.

use std::fmt;

/// Why a request has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoSessionReason {
    /// It brought no cookie of this name.
    NoCookie,
    /// The cookie's value is malformed.
    Malformed,
    /// No key of the ring has signed the cookie's value.
    Forged,
    /// No such session is stored, or the token does not match it. If the store can't tell, it may also have expired.
    Unknown,
    /// It has expired. Only stores in this process's memory report this, until they have swept the session.
    Expired,
    /// Its token was replaced by a newer one, at a login or a renewal.
    Superseded,
    /// Its owner's sessions were revoked.
    Revoked,
}

impl NoSessionReason {
    /// Returns the reason as it is written in events, in lower case: `no cookie`, `malformed`, `unknown`, …
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
