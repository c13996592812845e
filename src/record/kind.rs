//! The kind of a record.

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// A session.
    Session,
    /// The record that a renewal or a login leaves at the old id. It has no session data and says "superseded".
    Tombstone,
    /// An owner's current epoch.
    Epoch,
    /// A record whose entries are sealed. Only the encrypting wrapper opens it.
    Sealed,
}
