//! The answer to a write.

use crate::store::sql::row::Row;

/// What a write has done.
#[derive(Debug, Default)]
pub(in crate::store::sql) struct Answer {
    /// How many rows it has written.
    pub(in crate::store::sql) written: u64,
    /// The row as it was written, or else the row that was read.
    pub(in crate::store::sql) row: Option<Row>,
}
