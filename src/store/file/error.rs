//! The file store's error.

use std::{
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
};

use super::platform;
use crate::store::{StoreError, StoreErrorKind};

/// An error of a [`FileStore`](super::FileStore): what failed, on which file or directory, and what to do about it.
///
/// Opening a store returns this error. In an open store it is the [`source`](std::error::Error::source) of
/// [`StoreError`]s. `Debug` shows the same text as `Display`, so it is readable if `main` returns it.
pub struct FileStoreError {
    doing: &'static str,
    path: PathBuf,
    kind: StoreErrorKind,
    advice: Option<&'static str>,
    problem: Problem,
}

enum Problem {
    Io(io::Error),
    Found(String),
}

impl FileStoreError {
    /// An error of the operating system.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        let advice = advice_on(&error);
        Self { doing, path: path.into(), kind: StoreErrorKind::Unavailable, advice, problem: Problem::Io(error) }
    }

    /// An error about what was found at the path.
    pub(super) fn found(
        kind: StoreErrorKind,
        doing: &'static str,
        path: impl Into<PathBuf>,
        found: impl Into<String>,
    ) -> Self {
        Self { doing, path: path.into(), kind, advice: None, problem: Problem::Found(found.into()) }
    }

    /// Returns the same error with advice on what to do.
    pub(super) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Returns the same error with another kind.
    pub(super) fn of_kind(mut self, kind: StoreErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns the file or directory that failed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the operating system's error, if there is one.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.problem {
            Problem::Io(error) => Some(error),
            Problem::Found(_) => None,
        }
    }

    /// Returns the kind of the [`StoreError`] that a store operation returns for this error.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

fn advice_on(error: &io::Error) -> Option<&'static str> {
    if platform::is_out_of_files(error) {
        return Some("raise the limit of open files, or lower the store's `blocking_calls`");
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room; what was stored is as it was"),
        io::ErrorKind::PermissionDenied => Some("give this process's user the right to read and write there"),
        io::ErrorKind::ReadOnlyFilesystem => Some("mount the file system for writing, or choose another directory"),
        _ => None,
    }
}

impl fmt::Display for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {} {}: ", self.doing, self.path.display())?;
        match &self.problem {
            Problem::Io(error) => error.fmt(f)?,
            Problem::Found(found) => f.write_str(found)?,
        }
        match self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The source is the operating system's error, if there is one. `Display` includes its text, for applications that log
/// no sources.
impl StdError for FileStoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.io_error().map(|error| error as _)
    }
}

impl From<FileStoreError> for StoreError {
    fn from(error: FileStoreError) -> Self {
        Self::new(error.kind).because(error)
    }
}

impl From<FileStoreError> for crate::error::Error {
    fn from(error: FileStoreError) -> Self {
        StoreError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_path_cause_and_remedy() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = FileStoreError::io("write", "/var/sessions/ab/tmp", full);
        assert_eq!(
            error.to_string(),
            "can't write /var/sessions/ab/tmp: no storage space; make room; what was stored is as it was"
        );
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(error.io_error().unwrap().kind(), io::ErrorKind::StorageFull);
        let error = StoreError::from(error);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let source = error.source().unwrap();
        assert!(source.to_string().contains("/var/sessions"));
        assert_eq!(source.source().unwrap().to_string(), "no storage space");
    }
}
