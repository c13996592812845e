//! A few bytes that are opaque to everyone but the store that made them.

/// The capacity in bytes.
pub(super) const MAX_BYTES: usize = 31;

/// At most [`MAX_BYTES`] bytes, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SmallBytes {
    length: u8,
    bytes: [u8; MAX_BYTES],
}

impl SmallBytes {
    pub(super) const EMPTY: Self = Self { length: 0, bytes: [0; MAX_BYTES] };

    pub(super) const fn from_u64(number: u64) -> Self {
        let mut bytes = [0; MAX_BYTES];
        let number = number.to_be_bytes();
        let mut at = 0;
        while at < number.len() {
            bytes[at] = number[at];
            at += 1;
        }
        Self { length: 8, bytes }
    }

    pub(super) fn from_bytes(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_BYTES];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { length: u8::try_from(from.len()).ok()?, bytes })
    }

    pub(super) fn to_u64(self) -> Option<u64> {
        self.as_bytes().try_into().ok().map(u64::from_be_bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}
