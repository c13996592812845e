//! The error of a codec.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// A value could not be encoded or decoded. The message says why and where, and never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        Self::request(ErrorKind::Other).because(error)
    }
}

impl CodecError {
    /// Creates an error with this message, which must not contain the value.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An error for a value that its own type can't read back.
    pub(crate) fn unreadable(why: impl fmt::Display) -> Self {
        Self(format!("the type can't read what it wrote: {why}; see `Session::insert`"))
    }
}
