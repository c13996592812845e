//! Errors when opening a memory store.

use std::{io, path::PathBuf};

/// A [`MemoryStore`](crate::MemoryStore) can't be opened. Nothing stored is lost: files stay as they are, except that
/// damaged ones may have been moved aside already, if that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryOpenError {
    /// A setting is invalid.
    #[error("the memory store's setting `{setting}` {problem}")]
    Setting {
        /// The builder's method.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Another store, in this process or another one, has the snapshot open.
    #[error(
        "the snapshot {} is in use by another memory store (its lock is {}): close that one first, or use another path",
        path.display(), lock.display()
    )]
    InUse {
        /// The snapshot.
        path: PathBuf,
        /// The file that the other store has locked.
        lock: PathBuf,
    },
    /// The snapshot or its journal is damaged, or is another kind of file. It was left as it is.
    #[error(
        "{} can't be restored: {problem}. It was left as it is. Put a good copy in its place, or open the store with \
         `move_damaged_aside(true)` to set it aside and start empty: everybody is then logged out",
        path.display()
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl From<MemoryOpenError> for crate::error::Error {
    fn from(error: MemoryOpenError) -> Self {
        Self::setup(error)
    }
}
