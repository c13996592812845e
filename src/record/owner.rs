//! Whom a session belongs to.

use std::{fmt, sync::Arc};

/// The longest name of an owner, in bytes.
pub const MAX_OWNER_BYTES: usize = 1_024;

/// The application's name for whom a session belongs to, with the epoch in which it logged in.
///
/// `Debug` shows the epoch only: names are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    name: Arc<str>,
    epoch: Epoch,
}

impl Owner {
    /// An owner of this name in this epoch.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than [`MAX_OWNER_BYTES`].
    pub fn new(name: impl Into<Arc<str>>, epoch: Epoch) -> Result<Self, OwnerError> {
        let name = name.into();
        if name.is_empty() || name.len() > MAX_OWNER_BYTES {
            return Err(OwnerError { bytes: name.len() });
        }
        Ok(Self { name, epoch })
    }

    /// The application's name for the owner.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The epoch in which the session was logged in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// An owner's random number: a session whose epoch is not its owner's present one is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Draws an epoch from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// If the operating system has no random numbers to give.
    pub fn generate() -> Result<Self, crate::id::EntropyError> {
        crate::id::random_u64().map(Self)
    }

    /// The epoch as a number, for a store that keeps its own form of records.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// An epoch read back from where a store kept it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// An owner's name is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an owner's name has 1 to {MAX_OWNER_BYTES} bytes; this one has {bytes}")]
pub struct OwnerError {
    bytes: usize,
}
