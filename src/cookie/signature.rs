//! The signed form of the cookie's value.
//!
//! ```text
//! token: 32 characters │ . │ id of the key: 8 characters │ . │ signature: 32 characters
//! ```
//!
//! All in base64url. The signature is the first 24 bytes of HMAC-SHA-256, under the key's cookie key, over
//! `"session-layer/cookie/1\0" ‖ length of the cookie's name: u32, little-endian ‖ name ‖ token`. So a value that was
//! signed for one cookie is forged in another, and one that we did not sign costs no store call.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    id::{SessionToken, TOKEN_CHARS},
    keyring::{KEY_ID_BYTES, KeyId, KeyRing, RingKey},
};

/// The length of a signature in bytes: 192 bits, like the token.
const SIGNATURE_BYTES: usize = 24;

const KEY_ID_CHARS: usize = 8;
const SIGNATURE_CHARS: usize = 32;

/// The length of a signed value in characters.
pub(crate) const SIGNED_CHARS: usize = TOKEN_CHARS + 1 + KEY_ID_CHARS + 1 + SIGNATURE_CHARS;

const SEPARATOR: char = '.';

/// Domain separation of this signature from every other use of its key: the form and its version.
const DOMAIN: &[u8] = b"session-layer/cookie/1\0";

/// Signs tokens and checks signatures with the keys of a ring.
#[derive(Debug, Clone)]
pub(crate) struct CookieSigner {
    ring: KeyRing,
}

/// The result of reading a cookie's value.
#[derive(Debug)]
pub(crate) enum Verified {
    /// A token that was signed for this cookie.
    Valid(SessionToken),
    /// A well-formed token with no signature. Whether it is accepted is a setting.
    Unsigned(SessionToken),
    /// It has the form of a signed value, but no key of the ring signed this token for this cookie.
    Forged,
    /// It has neither form.
    Malformed,
}

impl CookieSigner {
    pub(crate) fn new(ring: KeyRing) -> Self {
        Self { ring }
    }

    /// Returns the cookie's value for this token, signed by the ring's writing key.
    pub(crate) fn sign(&self, cookie_name: &str, token: &SessionToken) -> Zeroizing<String> {
        let key = self.ring.writing();
        let token = token.reveal();
        let signature = signature(key, cookie_name, &token);
        let mut value = Zeroizing::new(String::with_capacity(SIGNED_CHARS));
        value.push_str(&token);
        value.push(SEPARATOR);
        value.push_str(&key.id.to_string());
        value.push(SEPARATOR);
        value.push_str(&Base64UrlUnpadded::encode_string(&signature));
        value
    }

    /// Reads a cookie's value and verifies its signature. The signature is compared in constant time; the value's form and the key's id are not
    /// secret.
    pub(crate) fn verify(&self, cookie_name: &str, value: &str) -> Verified {
        if value.len() == TOKEN_CHARS {
            return SessionToken::parse(value).map_or(Verified::Malformed, Verified::Unsigned);
        }
        let Some((token, id, mut claimed)) = parse(value) else { return Verified::Malformed };
        let Some(key) = self.ring.key(id) else { return Verified::Forged };
        let expected = signature(key, cookie_name, &value[..TOKEN_CHARS]);
        let valid: bool = expected.ct_eq(&claimed).into();
        claimed.zeroize();
        if valid { Verified::Valid(token) } else { Verified::Forged }
    }
}

fn parse(value: &str) -> Option<(SessionToken, KeyId, [u8; SIGNATURE_BYTES])> {
    // Checked before it is split into three parts of fixed lengths, all ASCII.
    if value.len() != SIGNED_CHARS || !value.is_ascii() {
        return None;
    }
    let (token, rest) = value.split_at(TOKEN_CHARS);
    let (id, signature) = rest.strip_prefix(SEPARATOR)?.split_at(KEY_ID_CHARS);
    let signature = signature.strip_prefix(SEPARATOR)?;
    Some((
        SessionToken::parse(token)?,
        KeyId::from_bytes(decode::<KEY_ID_BYTES>(id)?),
        decode::<SIGNATURE_BYTES>(signature)?,
    ))
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = Base64UrlUnpadded::decode(text, &mut bytes).ok()?.len();
    (length == N).then_some(bytes)
}

fn signature(key: &RingKey, cookie_name: &str, token: &str) -> [u8; SIGNATURE_BYTES] {
    let mut mac: Hmac<Sha256> = key.cookie.clone();
    mac.update(DOMAIN);
    mac.update(&u32::try_from(cookie_name.len()).unwrap_or(u32::MAX).to_le_bytes());
    mac.update(cookie_name.as_bytes());
    mac.update(token.as_bytes());
    let full = mac.finalize().into_bytes();
    std::array::from_fn(|i| full[i])
}

/// For the fuzz target: a value without a valid signature is never valid.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let bytes: [u8; 32] = std::array::from_fn(|i| (i as u8).wrapping_mul(37).wrapping_add(1));
    let secret = crate::keyring::Secret::from_bytes(bytes).expect("different bytes");
    let signer = CookieSigner::new(KeyRing::new(secret));
    let token = SessionToken::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").expect("a token");
    let signed = signer.sign("sid", &token);
    let Some((&how, data)) = data.split_first() else { return };
    let mut value = Vec::new();
    if how & 1 == 0 {
        value.extend(data);
    } else {
        value.extend(signed.as_bytes());
        crate::fuzzing::tamper(&mut value, data);
    }
    let Ok(value) = std::str::from_utf8(&value) else { return };
    match signer.verify("sid", value) {
        Verified::Valid(_) => assert_eq!(value, signed.as_str(), "a forged value is valid"),
        Verified::Unsigned(token) => assert_eq!(*token.reveal(), value),
        Verified::Forged | Verified::Malformed => assert_ne!(value, signed.as_str()),
    }
    assert!(!matches!(signer.verify("other", value), Verified::Valid(_)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyring::Secret;

    fn secret(first: u8) -> Secret {
        Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| {
            u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(first)
        }))
        .unwrap()
    }

    fn signer(first: u8) -> CookieSigner {
        CookieSigner::new(KeyRing::new(secret(first)))
    }

    fn token() -> SessionToken {
        SessionToken::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap()
    }

    fn is_valid(signer: &CookieSigner, name: &str, value: &str) -> bool {
        match signer.verify(name, value) {
            Verified::Valid(token) => {
                assert_eq!(*token.reveal(), value[..TOKEN_CHARS]);
                true
            }
            _ => false,
        }
    }

    /// Every later version accepts a cookie that 0.1.0 signed. Computed by another implementation (Python's `hmac`).
    #[test]
    fn frozen_vector() {
        let value = signer(1).sign("sid", &token());
        assert_eq!(value.as_str(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX.Y7mvN39I.qHZz3WOWHYw2P643dCp_T_FHLwOp1lKB");
        assert!(is_valid(&signer(1), "sid", &value));
    }

    #[test]
    fn unsigned_and_malformed_are_told_apart() {
        let signer = signer(1);
        assert!(matches!(signer.verify("sid", &token().reveal()), Verified::Unsigned(_)));
        let signed = signer.sign("sid", &token());
        let dots = signed.replace('.', "-");
        let wide = format!("{}é", &signed[..SIGNED_CHARS - 2]);
        for value in ["", "x", &signed[1..], &format!("{}A", *signed), &dots, &wide, &"é".repeat(16), &"=".repeat(32)]
        {
            assert!(matches!(signer.verify("sid", value), Verified::Malformed), "{value}");
        }
    }

    /// The signature is bound to the cookie's name and to where the name ends.
    #[test]
    fn another_cookies_value_is_forged() {
        let signer = signer(1);
        let value = signer.sign("sid", &token());
        for name in ["sid2", "si", "", "SID", "__Host-sid"] {
            assert!(matches!(signer.verify(name, &value), Verified::Forged), "{name}");
        }
    }

    #[test]
    fn every_changed_character_is_refused() {
        let signer = signer(1);
        let value = signer.sign("sid", &token());
        for at in 0..value.len() {
            for with in (0..=127u8).map(char::from).filter(|&with| value.as_bytes()[at] != with as u8) {
                let mut changed = value.to_string();
                changed.replace_range(at..=at, with.encode_utf8(&mut [0; 4]));
                assert!(!is_valid(&signer, "sid", &changed), "{at} {with:?}");
            }
        }
        for cut in 0..value.len() {
            assert!(!is_valid(&signer, "sid", &value[..cut]), "{cut}");
        }
    }

    #[test]
    fn signatures_of_two_tokens_and_two_keys_are_not_exchanged() {
        let (one, two) = (signer(1), signer(2));
        let other = SessionToken::generate().unwrap();
        let (a, b, c) = (one.sign("sid", &token()), one.sign("sid", &other), two.sign("sid", &token()));
        let swapped = format!("{}{}", &a[..TOKEN_CHARS], &b[TOKEN_CHARS..]);
        assert!(matches!(one.verify("sid", &swapped), Verified::Forged));
        // One key's id before the other key's signature, on a ring with both.
        let both = CookieSigner::new(KeyRing::new(secret(1)).opening(secret(2)).unwrap());
        let at = TOKEN_CHARS + 1 + KEY_ID_CHARS;
        assert!(matches!(both.verify("sid", &format!("{}{}", &a[..at], &c[at..])), Verified::Forged));
        assert!(is_valid(&both, "sid", &a) && is_valid(&both, "sid", &c));
    }

    #[test]
    fn a_key_that_is_to_write_later_opens_and_a_revoked_one_does_not() {
        let old = KeyRing::new(secret(1));
        let value = CookieSigner::new(KeyRing::new(secret(2))).sign("sid", &token());
        let prepared = CookieSigner::new(old.clone().opening(secret(2)).unwrap());
        assert!(is_valid(&prepared, "sid", &value));
        assert!(matches!(CookieSigner::new(old).verify("sid", &value), Verified::Forged));
    }

    proptest! {
        #[test]
        fn hostile_values_are_never_valid_and_never_panic(value: String, dotted in "[A-Za-z0-9_-]{32}\\.[A-Za-z0-9_-]{8}\\.[A-Za-z0-9_-]{32}") {
            let signer = signer(1);
            prop_assert!(!is_valid(&signer, "sid", &value));
            prop_assert!(!is_valid(&signer, "sid", &dotted));
        }
    }
}
