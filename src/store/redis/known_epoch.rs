//! An owner's epoch as it was read.

use super::link::{Connection, Mark};
use crate::record::Epoch;

/// An owner's epoch, and how to tell whether it is current.
#[derive(Clone)]
pub(super) struct KnownEpoch {
    pub(super) epoch: Epoch,
    /// When it expires, in milliseconds.
    pub(super) until: u64,
    /// Taken before the epoch was read.
    pub(super) mark: Mark,
    /// The connection that it was read on.
    pub(super) connection: Connection,
}
