//! The session cookie: its name, its attributes, and how its value is signed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
#[cfg(feature = "encryption")]
use std::time::SystemTime;

use super::signing::Signing;
use crate::{clock::Clock, events::NoSessionReason, id::SessionToken};

/// A cookie whose settings have been checked. `write` has its `Set-Cookie` line and its removal.
#[derive(Debug, Clone)]
pub(crate) struct SessionCookie {
    /// The name with its prefix, no value, and the attributes.
    pub(super) empty: cookie::Cookie<'static>,
    bare_name: String,
    /// The attributes as they follow `name=value`, each with its `; `.
    pub(super) attributes: String,
    /// `Some` if the cookie is `Secure` by default only; the flag says whether the warning about it was given.
    assumed_secure: Option<Arc<AtomicBool>>,
    pub(super) signing: Option<Signing>,
}

impl SessionCookie {
    pub(super) fn new(empty: cookie::Cookie<'static>, bare_name: &str, is_assumed_secure: bool) -> Self {
        let attributes = empty.to_string().split_off(empty.name().len() + "=".len());
        Self {
            empty,
            bare_name: bare_name.to_owned(),
            attributes,
            assumed_secure: is_assumed_secure.then(Arc::default),
            signing: None,
        }
    }

    /// Whether the cookie is `Secure` by default only, and the warning was not given yet.
    pub(crate) fn is_assumed_secure(&self) -> bool {
        self.assumed_secure.as_ref().is_some_and(|reported| !reported.load(Ordering::Relaxed))
    }

    /// Returns `true` once for each layer. The caller then reports that a browser can't send the cookie back.
    pub(crate) fn reports_insecure(&self) -> bool {
        self.assumed_secure.as_ref().is_some_and(|reported| !reported.swap(true, Ordering::Relaxed))
    }

    /// The same cookie with a signed value.
    #[cfg(feature = "encryption")]
    pub(crate) fn signed(mut self, ring: crate::keyring::KeyRing, unsigned_until: Option<SystemTime>) -> Self {
        self.signing = Some(Signing::new(ring, unsigned_until));
        self
    }

    /// Returns the token in a value that a client sent, or the reason why there is none.
    pub(super) fn token(&self, value: &str, clock: &Clock) -> Result<SessionToken, NoSessionReason> {
        match &self.signing {
            None => SessionToken::parse(value).ok_or(NoSessionReason::Malformed),
            Some(signing) => signing.token(self.name(), value, clock),
        }
    }

    /// Returns the name as it is in the cookie, with its prefix.
    pub(crate) fn name(&self) -> &str {
        self.empty.name()
    }

    /// Returns the name without prefix, from which ids are derived.
    pub(crate) fn bare_name(&self) -> &str {
        &self.bare_name
    }
}
