//! The holder of a lease.

use crate::id::{EntropyError, random_u64};

/// The holder of a lease: a random number, drawn for each holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u128);

impl Holder {
    /// Draws a holder from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn generate() -> Result<Self, EntropyError> {
        let (high, low) = (random_u64()?, random_u64()?);
        Ok(Self(u128::from(high) << 64 | u128::from(low)))
    }

    /// The holder as a number, for a store that saves it.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// The holder of this number, for a store that has saved it.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }
}
