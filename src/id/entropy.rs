//! Random numbers from the operating system.

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
