//! The settings that sign the cookie.

use std::time::SystemTime;

use super::SessionLayerBuilder;

/// # Signed cookies
impl<R> SessionLayerBuilder<R> {
    /// Signs the cookie's value, so that a forged one costs no store call. The signature is bound to the cookie's name.
    /// Default: not signed.
    ///
    /// One key of the ring signs, and the signatures of all its keys are accepted. A cookie that none of them has
    /// signed is treated as forged: the visitor starts anew.
    #[doc(alias = "with_signed")]
    #[must_use]
    pub fn sign(mut self, ring: crate::keyring::KeyRing) -> Self {
        self.parts.signing.ring = Some(ring);
        self
    }

    /// Accepts unsigned tokens until this time, so that turning [`sign`](Self::sign) on logs nobody out. Use the time
    /// at which the last unsigned session reaches its absolute limit. **Until then a forged token costs a store
    /// call**, as without signing. Default: none is accepted.
    #[must_use]
    pub fn accept_unsigned_until(mut self, time: SystemTime) -> Self {
        self.parts.signing.unsigned_until = Some(time);
        self
    }
}
