//! The token in the cookie, and the id and the check that a one-way hash derives from it.

mod text;

use std::{fmt, str::FromStr, sync::Mutex};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "encryption")]
pub(crate) use self::text::CHARS as TOKEN_CHARS;

/// Bytes of a token: 192 bits, above the 128 that OWASP ASVS 5.0 7.2.3 asks for.
const TOKEN_BYTES: usize = text::BYTES;

/// How many tokens one call into the operating system draws. 10 × 24 bytes stay below 256 bytes, up to which
/// `getrandom(2)` is never interrupted.
const TOKENS_PER_DRAW: usize = 10;

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
        POOL.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
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
        split(&hash.finalize().into())
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

/// The operating system provided no random numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system's random number generator failed: {0}")]
pub struct EntropyError(String);

/// Returns 64 random bits from the operating system.
pub(crate) fn random_u64() -> Result<u64, EntropyError> {
    getrandom::u64().map_err(|error| EntropyError(error.to_string()))
}

/// Fills the buffer with random bytes from the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(|error| EntropyError(error.to_string()))
}

struct Pool {
    bytes: [u8; TOKEN_BYTES * TOKENS_PER_DRAW],
    left: usize,
    process: u32,
}

impl Pool {
    const fn new() -> Self {
        Self { bytes: [0; TOKEN_BYTES * TOKENS_PER_DRAW], left: 0, process: 0 }
    }

    fn take(&mut self) -> Result<SessionToken, EntropyError> {
        // A forked child holds a copy of the parent's pool: both would hand out the same tokens.
        let process = std::process::id();
        if self.left == 0 || self.process != process {
            self.left = 0;
            getrandom::fill(&mut self.bytes).map_err(|error| EntropyError(error.to_string()))?;
            self.left = TOKENS_PER_DRAW;
            self.process = process;
        }
        // Counted down before the copy, so that no token is handed out twice.
        self.left -= 1;
        let slot = &mut self.bytes[self.left * TOKEN_BYTES..][..TOKEN_BYTES];
        let mut token = SessionToken([0; TOKEN_BYTES]);
        token.0.copy_from_slice(slot);
        slot.zeroize();
        Ok(token)
    }
}

/// The store's key of one session. It is a one-way hash of the token, so it is safe in logs, lists and file names.
///
/// `Display` and serde write it as a lower-case hyphenated UUID (RFC 9562), so a handler can take `Path<SessionId>`, or
/// a form with an id in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// Returns the id as a UUID, for a database column of that type.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// Creates an id from a UUID that a store read back.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the id under which an owner's epoch is stored; see
    /// [`SessionStore::owner_epoch`](crate::SessionStore::owner_epoch).
    ///
    /// `SHA-256("session-layer/owner/1\0" ‖ owner)[..16]` as a version 8 UUID.
    #[must_use]
    pub fn for_epoch(owner: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"session-layer/owner/1\0");
        hash.update(owner.as_bytes());
        split(&hash.finalize().into()).0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// Writes the form of `Display`, whatever the data format.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = [0; uuid::fmt::Hyphenated::LENGTH];
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut form))
    }
}

/// Reads the form of `Display`, for forms, paths and JSON.
impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl de::Visitor<'_> for Form {
            type Value = SessionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session id: a lower-case hyphenated UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SessionId, E> {
                // The text comes from a client, so it is not repeated.
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Form)
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    /// Parses the form that `Display` writes and no other: hyphenated, lower case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError)?;
        let mut form = [0; uuid::fmt::Hyphenated::LENGTH];
        if id.0.as_hyphenated().encode_lower(&mut form) == text { Ok(id) } else { Err(ParseIdError) }
    }
}

/// The text is not a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected a lower-case hyphenated UUID such as 0b1cbf4c-2d0e-8a53-9f3e-6a5dbb9f3a10")]
pub struct ParseIdError;

/// The half of the token's hash that is not the id. The record stores it, and loading compares it in constant time.
///
/// With it, guessing costs the token's full strength even if ids are known. `==` runs in constant time.
#[derive(Clone, Copy)]
pub struct TokenCheck([u8; 16]);

impl TokenCheck {
    /// Returns the check's bytes, for a store with its own form of records.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 16] {
        self.0
    }

    /// Creates a check from the bytes that a store read back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for TokenCheck {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenCheck {}

impl fmt::Debug for TokenCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(redacted)")
    }
}

fn split(hash: &[u8; 32]) -> (SessionId, TokenCheck) {
    let (mut id, mut check) = ([0; 16], [0; 16]);
    id.copy_from_slice(&hash[..16]);
    check.copy_from_slice(&hash[16..]);
    (SessionId(Uuid::new_v8(id)), TokenCheck(check))
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
    fn a_token_is_wiped_from_the_pool_when_it_is_handed_out() {
        let mut pool = Pool::new();
        for left in (0..TOKENS_PER_DRAW).rev() {
            let token = pool.take().expect("random numbers");
            assert_ne!(token.0, [0; TOKEN_BYTES]);
            assert!(pool.bytes[left * TOKEN_BYTES..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_forked_child_draws_anew() {
        let mut pool = Pool::new();
        pool.take().expect("random numbers");
        let before = pool.bytes;
        pool.process = pool.process.wrapping_add(1);
        pool.take().expect("random numbers");
        assert_eq!(pool.left, TOKENS_PER_DRAW - 1);
        assert_ne!(before[..TOKEN_BYTES], pool.bytes[..TOKEN_BYTES]);
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

    #[test]
    fn an_id_reads_only_its_own_form() {
        let (id, _) = counting_token().identify("sid");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.as_uuid().get_version_num(), 8);
        let simple = id.as_uuid().simple().to_string();
        let upper = id.to_string().to_uppercase();
        for wrong in ["", "../../etc/passwd", &simple, &upper, &format!("{{{id}}}"), &format!("urn:uuid:{id}")] {
            assert_eq!(wrong.parse::<SessionId>(), Err(ParseIdError), "{wrong:?}");
        }
    }
}
