//! Why a memory store could not be opened.

use std::{io, path::PathBuf};

/// Why a [`MemoryStore`](crate::MemoryStore) could not be opened. Nothing on the disk was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryOpenError {
    /// A setting makes no sense.
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
    /// The snapshot or its journal is damaged, or it is another kind of file. It was left as it is.
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
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl From<MemoryOpenError> for crate::error::Error {
    fn from(error: MemoryOpenError) -> Self {
        Self::setup(error)
    }
}
