//! Epochs and versions that the process relies on until a server reports a change.

use super::{
    link::{Connection, Mark},
    value::Nonce,
};
use crate::record::Epoch;

/// An owner's epoch as it was read, and how to tell whether it is current.
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

/// A version of a session that this process has written, and how to tell whether it is current.
#[derive(Clone)]
pub(super) struct KnownVersion {
    pub(super) nonce: Nonce,
    /// Counts the changes up to this version's own.
    pub(super) mark: Mark,
    /// The connection that it was written on, and read back.
    pub(super) connection: Connection,
}
