//! A token as text: 32 characters of base64url (RFC 4648, section 5), which hold exactly its 24 bytes.
//!
//! Reading and writing use arithmetic alone: no branch and no table look-up depends on a character, and all characters
//! are processed at once. A general decoder works character by character, and handles padding that a token never has.

/// The number of characters of a token.
pub(crate) const CHARS: usize = 32;
/// The number of bytes of a token: four characters hold three bytes.
pub(super) const BYTES: usize = CHARS / 4 * 3;

/// Decodes this text. Returns `None` unless it is 32 characters of the alphabet.
pub(super) fn decode(text: &[u8]) -> Option<[u8; BYTES]> {
    let text: &[u8; CHARS] = text.try_into().ok()?;
    let values = text.map(value);
    // A negative value leaves the sign bit set.
    let is_valid = values.iter().fold(0, |all, value| all | value) >= 0;
    let mut bytes = [0; BYTES];
    for (bytes, values) in bytes.chunks_exact_mut(3).zip(values.chunks_exact(4)) {
        let bits = values.iter().fold(0u32, |bits, &value| bits << 6 | u32::from(value.cast_unsigned() & 63));
        bytes.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    is_valid.then_some(bytes)
}

/// Encodes these bytes.
pub(super) fn encode(bytes: &[u8; BYTES]) -> [u8; CHARS] {
    let mut text = [0; CHARS];
    for (text, bytes) in text.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
        let bits = bytes.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        for (at, text) in text.iter_mut().enumerate() {
            // At most 63.
            *text = character((bits >> (18 - 6 * at) & 63) as i16);
        }
    }
    text
}

/// Returns the six bits of a character, or -1 if it is not in the alphabet.
fn value(character: u8) -> i16 {
    let c = i16::from(character);
    // Each range gives one more than the value, or nothing.
    -1 + (within(c, b'A', b'Z') & (c - 64))
        + (within(c, b'a', b'z') & (c - 70))
        + (within(c, b'0', b'9') & (c + 5))
        + (within(c, b'-', b'-') & 63)
        + (within(c, b'_', b'_') & 64)
}

/// Returns a number with all bits set if `first <= c <= last`, otherwise 0.
fn within(c: i16, first: u8, last: u8) -> i16 {
    // The sign bit is set only if both are negative.
    ((i16::from(first) - 1 - c) & (c - i16::from(last) - 1)) >> 8
}

/// Returns the character for six bits.
fn character(value: i16) -> u8 {
    // Starts at 'A', with a step at the end of each range.
    let past = |last: i16| (last - value) >> 8;
    let c = 65 + value + (past(25) & 6) - (past(51) & 75) - (past(61) & 13) + (past(62) & 49);
    // 45 to 122.
    c as u8
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64UrlUnpadded, Encoding};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_character_is_that_of_the_alphabet() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for c in 0..=u8::MAX {
            let at = alphabet.iter().position(|known| *known == c);
            assert_eq!(value(c), at.map_or(-1, |at| i16::try_from(at).unwrap()), "{c}");
        }
        for (at, &c) in alphabet.iter().enumerate() {
            assert_eq!(character(i16::try_from(at).unwrap()), c);
        }
    }

    #[test]
    fn one_wrong_character_is_refused_wherever_it_stands() {
        for at in 0..CHARS {
            for wrong in [b'=', b'+', b'/', b' ', 0, 0x80, 0xff] {
                let mut text = [b'A'; CHARS];
                text[at] = wrong;
                assert_eq!(decode(&text), None, "{wrong} at {at}");
            }
        }
    }

    proptest! {
        /// Agrees with `base64ct`.
        #[test]
        fn agrees_with_base64ct(bytes: [u8; BYTES], text in proptest::collection::vec(any::<u8>(), 28..36)) {
            let encoded = encode(&bytes);
            let other = Base64UrlUnpadded::encode_string(&bytes);
            prop_assert_eq!(other.as_bytes(), &encoded);
            prop_assert_eq!(decode(&encoded), Some(bytes));
            let other = std::str::from_utf8(&text).ok().and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
            prop_assert_eq!(decode(&text).map(Vec::from), other.filter(|other| other.len() == BYTES));
        }
    }
}
