//! Encryption at rest, for any store.
//!
//! - [`EncryptedStore`]: seals records before they go into the inner store, and opens those that come out. It documents
//!   what is sealed, and what is not.
//! - [`Resealed`]: the result of resealing a store, or of sealing a plain one.
//! - `seal`: the format of a sealed record. `contract`, `capabilities`: the implementation of the store contract.
//! - [`SealError`]: why a record could not be opened.

mod capabilities;
mod contract;
mod error;
mod reseal;
mod seal;
mod store;

#[cfg(fuzzing)]
pub(crate) use self::seal::fuzz as fuzz_sealed;
pub use self::{error::SealError, reseal::Resealed, store::EncryptedStore};
