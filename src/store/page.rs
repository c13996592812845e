//! A page of a store's ids, and where it begins.

use std::fmt;

use super::small_bytes::SmallBytes;
use crate::id::SessionId;

/// Where the next page of ids begins: at most 31 bytes, opaque to everyone but the store that made them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor(SmallBytes);

impl Cursor {
    /// The beginning: no bytes.
    pub const START: Self = Self(SmallBytes::EMPTY);

    /// Creates a position from a number.
    #[must_use]
    pub const fn from_u64(position: u64) -> Self {
        Self(SmallBytes::from_u64(position))
    }

    /// Creates a position from at most 31 bytes; `None` if there are more.
    #[must_use]
    pub fn from_bytes(position: &[u8]) -> Option<Self> {
        SmallBytes::from_bytes(position).map(Self)
    }

    /// The number that was given to [`from_u64`](Self::from_u64); `None` at the beginning, or if the cursor was not
    /// made from a number.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        self.0.to_u64()
    }

    /// The bytes of the position; none at the beginning.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the beginning.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::START
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({:02x?})", self.as_bytes())
    }
}

/// A page of a store's ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Ids of live sessions.
    pub ids: Vec<SessionId>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}
