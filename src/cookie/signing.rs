//! How the cookie's value is signed, and which values are accepted.

#[cfg(feature = "encryption")]
use std::time::SystemTime;

use zeroize::Zeroizing;

#[cfg(feature = "encryption")]
use super::signature::{CookieSigner, Verified};
use crate::{clock::Clock, events::NoSessionReason, id::SessionToken};

/// How the cookie's value is signed, if it is.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    #[cfg(feature = "encryption")]
    signer: CookieSigner,
    /// Until when unsigned tokens are accepted.
    #[cfg(feature = "encryption")]
    unsigned_until: Option<SystemTime>,
    /// Without the feature there is nothing to sign with.
    #[cfg(not(feature = "encryption"))]
    never: std::convert::Infallible,
}

#[cfg(feature = "encryption")]
impl Signing {
    pub(super) fn new(ring: crate::keyring::KeyRing, unsigned_until: Option<SystemTime>) -> Self {
        Self { signer: CookieSigner::new(ring), unsigned_until }
    }

    /// Signs the name with its prefix: two layers with one bare name and different prefixes have two cookies.
    pub(super) fn value(&self, name: &str, token: &SessionToken) -> Zeroizing<String> {
        self.signer.sign(name, token)
    }

    pub(super) fn token(&self, name: &str, value: &str, clock: &Clock) -> Result<SessionToken, NoSessionReason> {
        match self.signer.verify(name, value) {
            Verified::Valid(token) => Ok(token),
            Verified::Unsigned(token) if self.unsigned_until.is_some_and(|until| clock.now() < until) => Ok(token),
            Verified::Unsigned(_) | Verified::Forged => Err(NoSessionReason::Forged),
            Verified::Malformed => Err(NoSessionReason::Malformed),
        }
    }
}

#[cfg(not(feature = "encryption"))]
impl Signing {
    pub(super) fn value(&self, _: &str, _: &SessionToken) -> Zeroizing<String> {
        match self.never {}
    }

    pub(super) fn token(&self, _: &str, _: &str, _: &Clock) -> Result<SessionToken, NoSessionReason> {
        match self.never {}
    }
}
