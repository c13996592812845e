//! The token in the cookie.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{check::TokenCheck, entropy::EntropyError, pool::Pool, session_id::SessionId, text};

/// Bytes of a token: 192 bits, above the 128 that OWASP ASVS 5.0 7.2.3 asks for.
const TOKEN_BYTES: usize = text::BYTES;

/// Domain separation of the id's hash: the scheme and its version.
const DOMAIN: &[u8; 16] = b"session-layer/1\0";

/// The longest cookie name, without its prefix, that can be hashed: one byte holds its length.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// 192 random bits from the operating system, held by the cookie and nowhere else.
///
/// A token has no `Display`, its `Debug` is redacted, it is never serialised and it is wiped when dropped. Stores see
/// the [`SessionId`] that [`identify`](Self::identify) derives from it.
pub struct SessionToken([u8; TOKEN_BYTES]);

impl SessionToken {
    /// Draws a token from the operating system's random number generator.
    ///
    /// Several tokens are drawn at once and handed out one by one; each is wiped from the pool when it is handed out. A
    /// forked process starts with its own draw.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn generate() -> Result<Self, EntropyError> {
        static POOL: Mutex<Pool> = Mutex::new(Pool::new());
        // After a panic inside `take`, tokens can be missing from the pool, but none is handed out twice; see `take`.
        let mut token = Self([0; TOKEN_BYTES]);
        POOL.lock().unwrap_or_else(PoisonError::into_inner).take(&mut token.0)?;
        Ok(token)
    }

    /// Parses a token in the form of [`reveal`](Self::reveal). Any other text is `None`. Runs in constant time for
    /// input of the right length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text::decode(text.as_bytes()).map(Self)
    }

    /// Returns the token in the cookie's form: 32 characters of base64url. They are all that is needed to use the
    /// session.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        // All of it is ASCII.
        Zeroizing::new(std::str::from_utf8(&*self.text()).unwrap_or_default().to_owned())
    }

    /// Returns the same text without an allocation.
    pub(crate) fn text(&self) -> Zeroizing<[u8; text::CHARS]> {
        Zeroizing::new(text::encode(&self.0))
    }

    /// Derives the store's key and the check for a cookie of this name (without its `__Host-` or `__Secure-`).
    ///
    /// `h = SHA-256("session-layer/1\0" ‖ length of the name in one byte ‖ name ‖ token)`. The id is `h[..16]` as a
    /// version 8 UUID (RFC 9562, section 5.8), and the check is `h[16..]`. The name is part of the hash, so a token of
    /// one cookie is not valid for another cookie that shares the store.
    #[must_use]
    pub fn identify(&self, cookie_name: &str) -> (SessionId, TokenCheck) {
        debug_assert!(cookie_name.len() <= MAX_NAME_BYTES, "the cookie's settings refuse longer names");
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update([u8::try_from(cookie_name.len()).unwrap_or(u8::MAX)]);
        hash.update(cookie_name.as_bytes());
        hash.update(self.0);
        let hash: [u8; 32] = hash.finalize().into();
        (SessionId::from_hash(&hash), TokenCheck::from_hash(&hash))
    }
}

impl Drop for SessionToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn counting_token() -> SessionToken {
        SessionToken(std::array::from_fn(|i| u8::try_from(i).expect("below 24")))
    }

    /// Ids written by 0.1.0 must be found by every later version.
    #[test]
    fn frozen_vector() {
        let token = counting_token();
        assert_eq!(token.reveal().as_str(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX");
        let (id, check) = token.identify("sid");
        assert_eq!(id.to_string(), "8a66d325-5f53-8099-a2c2-ecd48b23b823");
        assert_eq!(check.to_bytes().map(|byte| format!("{byte:02x}")).concat(), "1b1dabd622fffff062a8710c044324d8");
        assert_eq!(SessionId::for_epoch("alice").to_string(), "928a45b6-9b81-8a3a-8878-229e446bad14");
    }

    #[test]
    fn random_tokens_differ() {
        let tokens: HashSet<_> =
            (0..1_000).map(|_| SessionToken::generate().expect("random numbers").reveal().to_string()).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == text::CHARS));
    }

    #[test]
    fn a_token_round_trips_and_nothing_else_parses() {
        let token = counting_token();
        assert_eq!(SessionToken::parse(&token.reveal()).expect("a token").0, token.0);
        let text = token.reveal();
        for wrong in [
            "",
            &text[1..],
            &format!("{}=", &text[..31]),
            &format!("{}+", &text[..31]),
            &format!("{}/", &text[..31]),
            &format!("{}é", &text[..30]),
            &format!("{}A", &*text),
            &" ".repeat(32),
        ] {
            assert!(SessionToken::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn the_id_is_bound_to_the_cookies_name() {
        let token = counting_token();
        let (a, check_a) = token.identify("a");
        let (b, check_b) = token.identify("b");
        assert_ne!(a, b);
        assert_ne!(check_a, check_b);
    }

    #[test]
    fn debug_shows_neither_token_nor_check() {
        let token = counting_token();
        assert_eq!(format!("{token:?}"), "SessionToken(redacted)");
        assert_eq!(format!("{:?}", token.identify("sid").1), "Check(redacted)");
    }
}
