//! The owner of a session, and its epoch.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

/// The longest name of an owner, in bytes.
pub const MAX_OWNER_BYTES: usize = 1_024;

/// The application's name for the user or account that a session belongs to, with the epoch in which it logged in.
///
/// `Debug` shows only the epoch, since names are often e-mail addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    name: Arc<str>,
    epoch: Epoch,
}

impl Owner {
    /// Creates an owner with this name and epoch.
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

/// An owner's name as text, written on the stack, so that a name of any type costs only one allocation.
pub(crate) struct OwnerName {
    bytes: [u8; MAX_OWNER_BYTES],
    len: usize,
}

impl OwnerName {
    /// # Errors
    ///
    /// If the name is empty or longer than [`MAX_OWNER_BYTES`].
    pub(crate) fn new(name: impl fmt::Display) -> Result<Self, OwnerError> {
        let mut text = Self { bytes: [0; MAX_OWNER_BYTES], len: 0 };
        let is_written = write!(text, "{name}").is_ok();
        if !is_written || text.len == 0 || text.len > MAX_OWNER_BYTES {
            return Err(OwnerError { bytes: text.len });
        }
        Ok(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole strings were copied.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for OwnerName {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len.saturating_add(part.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(part.as_bytes());
        }
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// An owner's random number. A session whose epoch differs from its owner's current one is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Draws an epoch from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn generate() -> Result<Self, crate::id::EntropyError> {
        crate::id::random_u64().map(Self)
    }

    /// Returns the epoch as a number, for a store with its own form of records.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Creates an epoch from the number that a store read back.
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

impl From<OwnerError> for crate::error::Error {
    fn from(error: OwnerError) -> Self {
        Self::request(crate::error::ErrorKind::InvalidOwner).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_whatever_can_be_displayed() {
        let name = |name: &dyn fmt::Display| OwnerName::new(name).map(|name| name.as_str().to_owned());
        assert_eq!(name(&"ada").as_deref(), Ok("ada"));
        assert_eq!(name(&42).as_deref(), Ok("42"));
        assert_eq!(name(&format_args!("{}-{}", "ä", 7)).as_deref(), Ok("ä-7"));
        let longest = "x".repeat(MAX_OWNER_BYTES);
        assert_eq!(name(&longest).as_deref(), Ok(&*longest));
        assert_eq!(name(&""), Err(OwnerError { bytes: 0 }));
        assert_eq!(
            name(&format_args!("{longest}{longest}y{}", "")),
            Err(OwnerError { bytes: 2 * MAX_OWNER_BYTES + 1 })
        );
    }
}
