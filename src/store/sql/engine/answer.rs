//! The result of a write.

use crate::store::sql::row::Row;

/// The result of a write.
#[derive(Debug, Default)]
pub(in crate::store::sql) struct Answer {
    /// The number of rows that were written.
    pub(in crate::store::sql) written: u64,
    /// The row as it was written or, if none was written, the row that was read.
    pub(in crate::store::sql) row: Option<Row>,
}
