//! Values in statements and rows.

use std::fmt;

/// An argument of a statement, or a column of a row.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number: a time in milliseconds since the Unix epoch, a kind, a count.
    Int(i64),
    /// Bytes: an id, a version, a record, a name.
    Bytes(Vec<u8>),
    /// No number.
    NoInt,
    /// No bytes.
    NoBytes,
}

/// Omits the bytes, which may be a session's data.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::NoInt | Self::NoBytes => f.write_str("NULL"),
        }
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// No value overflows: times end with the year 9999.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
