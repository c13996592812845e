//! Runs statements on a connection and translates its errors.

use rusqlite::{
    Connection, ErrorCode, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use crate::store::{
    StoreErrorKind,
    sql::{
        error::{Meaning, SqlStoreError, advice},
        row::Row,
        statement::Statement,
        value::Value,
    },
};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::NoInt | Self::NoBytes => ValueRef::Null,
        }))
    }
}

/// Runs a statement; returns its rows.
pub(super) fn rows(
    connection: &Connection,
    statement: &Statement,
    values: &[Value],
) -> Result<Vec<Row>, SqlStoreError> {
    let read = || {
        let mut prepared = connection.prepare_cached(statement.text())?;
        let columns = prepared.column_count();
        let mut found = prepared.query(rusqlite::params_from_iter(statement.values(values)))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(self::row(row, columns)?);
        }
        Ok(rows)
    };
    read().map_err(failed)
}

/// Runs a statement; returns the number of rows that it wrote.
pub(super) fn written(connection: &Connection, statement: &Statement, values: &[Value]) -> Result<u64, SqlStoreError> {
    let write = || {
        let mut prepared = connection.prepare_cached(statement.text())?;
        prepared.execute(rusqlite::params_from_iter(statement.values(values)))
    };
    write().map(|rows| rows as u64).map_err(failed)
}

/// Runs statements that are separated by `;` and a line break; returns the rows of all of them.
///
/// rusqlite's `Batch` is not used, since its interface differs between the supported versions.
pub(super) fn batch(connection: &Connection, text: &str) -> Result<Vec<Row>, SqlStoreError> {
    let run = || {
        let mut rows = Vec::new();
        for text in text.split(";\n").filter(|text| !text.trim().is_empty()) {
            let mut statement = connection.prepare(text)?;
            let columns = statement.column_count();
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                rows.push(self::row(row, columns)?);
            }
        }
        Ok(rows)
    };
    run().map_err(failed)
}

/// Runs several statements within a transaction. If one of them fails, undoes the others, but not the transaction.
pub(super) fn all_or_none<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, SqlStoreError>,
) -> Result<T, SqlStoreError> {
    connection.execute_batch("SAVEPOINT step").map_err(failed)?;
    match work() {
        Ok(done) => connection.execute_batch("RELEASE step").map(|()| done).map_err(failed),
        Err(error) => {
            // After some errors, SQLite has already rolled back the whole transaction; the writer detects that.
            let _ = connection.execute_batch("ROLLBACK TO step; RELEASE step");
            Err(error)
        }
    }
}

fn row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let value = |at| {
        Ok(match row.get_ref(at)? {
            ValueRef::Null | ValueRef::Real(_) => Value::NoBytes,
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Value::from(bytes),
        })
    };
    Ok(Row((0..columns).map(value).collect::<rusqlite::Result<_>>()?))
}

/// Translates an error from before the commit: nothing was changed.
pub(super) fn failed(error: rusqlite::Error) -> SqlStoreError {
    use StoreErrorKind::{Other, Timeout, TooLarge, Unavailable};
    const NOT_A_DATABASE: &str = "restore the file from a backup, or move it away";
    let (kind, advice) = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            return SqlStoreError::new(Meaning::Duplicate, "SQLite: the row is there already").because(error);
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Timeout, None),
        Some(ErrorCode::DiskFull) => (Unavailable, Some(advice::FULL)),
        Some(ErrorCode::ReadOnly) => (Unavailable, Some(advice::READ_ONLY)),
        Some(ErrorCode::TooBig) => (TooLarge, None),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (Unavailable, Some(NOT_A_DATABASE)),
        Some(
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::OutOfMemory,
        ) => (Unavailable, None),
        // Any other error of a statement.
        Some(ErrorCode::Unknown) => (Other, Some(advice::SCHEMA)),
        _ => (Other, None),
    };
    SqlStoreError::new(Meaning::Refused(kind), format!("SQLite answered \"{error}\"")).advise(advice).because(error)
}
