//! The half of a token's hash that the record stores.

use std::fmt;

use subtle::ConstantTimeEq;

/// The half of the token's hash that is not the id. The record stores it, and loading compares it in constant time.
///
/// With it, guessing costs the token's full strength even if ids are known. `==` runs in constant time.
#[derive(Clone, Copy)]
pub struct TokenCheck([u8; 16]);

impl TokenCheck {
    /// Creates the check from the second half of a hash.
    pub(super) fn from_hash(hash: &[u8; 32]) -> Self {
        let mut check = [0; 16];
        check.copy_from_slice(&hash[16..]);
        Self(check)
    }

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
        // As two numbers: a slice would be compared byte by byte.
        let halves = |bytes: [u8; 16]| {
            let number = u128::from_ne_bytes(bytes);
            // The cast takes the lower half.
            [number as u64, (number >> 64) as u64]
        };
        let ([a, b], [c, d]) = (halves(self.0), halves(other.0));
        (a.ct_eq(&c) & b.ct_eq(&d)).into()
    }
}

impl Eq for TokenCheck {}

impl fmt::Debug for TokenCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(redacted)")
    }
}
