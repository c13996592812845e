//! The format of a sealed record, and the hash that it has in place of its owner's name.

mod form;
mod owner_hash;
#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub(crate) use self::form::fuzz;
pub(super) use self::{
    form::{open, seal},
    owner_hash::owner_hash,
};
