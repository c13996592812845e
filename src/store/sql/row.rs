//! Rows and their records.

use std::sync::Arc;

use super::{error::SqlStoreError, value::Value};
use crate::{
    id::SessionId,
    record::{Owner, Record, RecordKind},
    store::{OwnerEpoch, Refresh, StoreError, StoreErrorKind, Stored, Usage, Version},
};

/// A row that a statement returned.
#[derive(Debug)]
pub(super) struct Row(pub(super) Vec<Value>);

impl Row {
    pub(super) fn int(&self, column: usize) -> Result<u64, SqlStoreError> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Ok(u64::try_from(*number).unwrap_or(0)),
            _ => Err(SqlStoreError::row("a number is missing")),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<&[u8], SqlStoreError> {
        match self.0.get(column) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(SqlStoreError::row("bytes are missing")),
        }
    }

    pub(super) fn is_null(&self, column: usize) -> bool {
        matches!(self.0.get(column), None | Some(Value::NoInt | Value::NoBytes))
    }

    /// Removes the first columns.
    pub(super) fn without(mut self, columns: usize) -> Self {
        self.0.drain(..columns.min(self.0.len()));
        self
    }

    pub(super) fn id(&self, column: usize) -> Result<SessionId, SqlStoreError> {
        uuid::Uuid::from_slice(self.bytes(column)?)
            .map(SessionId::from_uuid)
            .map_err(|_| SqlStoreError::row("an id has not 16 bytes"))
    }

    pub(super) fn version(&self, column: usize) -> Result<Version, SqlStoreError> {
        Version::from_bytes(self.bytes(column)?).ok_or_else(|| SqlStoreError::row("a version has more than 31 bytes"))
    }
}

/// The columns of every statement that returns a stored record.
pub(super) const STORED: &str = "version, record, expires_at, used_at, epoch";

/// Reads a stored record from a row with the columns [`STORED`].
pub(super) fn stored(id: &SessionId, row: &Row) -> Result<Stored, StoreError> {
    let record = record(id, row.bytes(1).map_err(SqlStoreError::of_read)?)?;
    let usage = usage(row)?;
    let epoch = owner_epoch(&record, row);
    let version = row.version(0).map_err(SqlStoreError::of_read)?;
    // Use the stored expiry: it was capped at the absolute limit when it was written.
    let mut stored = Stored::new(Arc::new(record), version, usage);
    stored.expires_at = usage.expires_at;
    Ok(stored.with_owner_epoch(epoch))
}

/// Reads the same row for a refresh: the record is null if its version is the caller's.
pub(super) fn refreshed(id: &SessionId, row: &Row, held: &Stored) -> Result<Refresh, StoreError> {
    if row.is_null(1) {
        return Ok(Refresh::Same { usage: usage(row)?, owner_epoch: owner_epoch(&held.record, row), tracked: None });
    }
    stored(id, row).map(Refresh::Changed)
}

pub(super) fn record(id: &SessionId, bytes: &[u8]) -> Result<Record, StoreError> {
    Record::from_bytes(bytes).map_err(|error| StoreError::new(StoreErrorKind::Corrupt).on(id).because(error))
}

fn usage(row: &Row) -> Result<Usage, StoreError> {
    let read = || Ok(Usage::from_millis(row.int(3)?, row.int(2)?));
    read().map_err(SqlStoreError::of_read)
}

/// Reads the epoch of the record's owner from the joined row. Returns `NotAsked` if the epoch's bytes are damaged: the
/// caller then reads the epoch itself and gets the error.
///
/// The row was found by the owner's id, a hash of the name. The name itself is not compared, since a wrapper may store
/// the record with a different owner's name than its caller sees.
fn owner_epoch(record: &Record, row: &Row) -> OwnerEpoch {
    if record.owner().is_none() || !record.is_session() {
        return OwnerEpoch::NotAsked;
    }
    let Ok(bytes) = row.bytes(4) else { return OwnerEpoch::Absent };
    match Record::from_bytes(bytes) {
        Ok(epoch) if epoch.kind() == RecordKind::Epoch => epoch.owner().map(Owner::epoch).into(),
        Ok(_) => OwnerEpoch::Absent,
        Err(_) => OwnerEpoch::NotAsked,
    }
}
