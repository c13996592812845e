//! The keys that sign the cookie.

#[cfg(feature = "encryption")]
use std::time::SystemTime;

use crate::cookie::{ConfigError, SessionCookie};

/// The keys that sign the cookie, and the time until which unsigned cookies are accepted.
#[derive(Debug, Default)]
pub(super) struct Signing {
    #[cfg(feature = "encryption")]
    pub(super) ring: Option<crate::keyring::KeyRing>,
    #[cfg(feature = "encryption")]
    pub(super) unsigned_until: Option<SystemTime>,
}

impl Signing {
    /// Returns the cookie with these keys. Fails if unsigned cookies are accepted but none is signed.
    #[cfg(feature = "encryption")]
    pub(super) fn sign(self, cookie: SessionCookie) -> Result<SessionCookie, ConfigError> {
        match (self.ring, self.unsigned_until) {
            (Some(ring), until) => Ok(cookie.signed(ring, until)),
            (None, None) => Ok(cookie),
            (None, Some(_)) => Err(ConfigError::new(
                "accept_unsigned_until contradicts a cookie that is not signed: add `sign(ring)`, or leave it out",
            )),
        }
    }

    #[cfg(not(feature = "encryption"))]
    pub(super) fn sign(self, cookie: SessionCookie) -> Result<SessionCookie, ConfigError> {
        Ok(cookie)
    }
}
