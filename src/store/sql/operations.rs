//! The operations on one record: load, create, update, touch, remove, end and rename.

use std::sync::Arc;

use super::{
    engine::Answer,
    error::{Meaning, SqlStoreError},
    row::{refreshed, stored},
    store::SqlStore,
    value::Value,
};
use crate::{
    id::SessionId,
    record::Record,
    store::{
        Create, End, Metadata, Refresh, Rename, StoreError, StoreErrorKind, Stored, Touch, Update, Usage, Version,
    },
};

fn id_of(id: &SessionId) -> Value {
    Value::from(&id.as_bytes()[..])
}

/// The most attempts of a rename whose new id is taken by an expired row.
const RENAMES: usize = 3;

impl SqlStore {
    pub(super) async fn load_row(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let values = vec![id_of(id), Value::from(self.now())];
        let rows = self.engine().read(&self.statements().load, values).await.map_err(SqlStoreError::of_read)?;
        rows.first().map(|row| stored(id, row)).transpose()
    }

    pub(super) async fn refresh_row(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let values = vec![id_of(id), Value::from(self.now()), Value::from(held.version.as_bytes())];
        let rows = self.engine().read(&self.statements().refresh, values).await.map_err(SqlStoreError::of_read)?;
        rows.first().map_or(Ok(Refresh::Gone), |row| refreshed(id, row, held))
    }

    pub(super) async fn metadata_of(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let now = self.now();
        let values = vec![id_of(id), Value::from(now)];
        let rows = self.engine().read(&self.statements().metadata, values).await.map_err(SqlStoreError::of_read)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let metadata = Metadata::of(&stored(id, row)?, crate::clock::from_millis(now));
        let until = if row.is_null(5) { 0 } else { row.int(5).map_err(SqlStoreError::of_read)? };
        Ok(Some(if until > now { metadata.with_lease(crate::clock::from_millis(until)) } else { metadata }))
    }

    pub(super) async fn create_row(&self, id: &SessionId, record: &Record, usage: Usage) -> Result<Create, StoreError> {
        let (mut values, version) = self.row(id, record, usage)?;
        values.push(Value::from(self.now()));
        let written = match self.write(&self.statements().create, values.clone()).await {
            Ok(Answer { written, .. }) => Ok(written),
            // Only on MySQL, where an insert can't replace an expired row.
            Err(error) if error.meaning() == Meaning::Duplicate => {
                self.write(&self.statements().replace_expired, values).await.map(|answer| answer.written)
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(0) => Ok(Create::Exists),
            Ok(_) => Ok(Create::Created(version)),
            Err(error) => self.settle(id, error, |row| row.version == version).await.map(|()| Create::Created(version)),
        }
    }

    pub(super) async fn update_row(
        &self,
        id: &SessionId,
        record: &Record,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (mut values, version) = self.row(id, record, usage)?;
        values.extend([Value::from(self.now()), Value::from(expected.as_bytes())]);
        match self.write(&self.statements().update, values).await {
            Ok(Answer { written: 0, row }) => Ok(match self.other(id, row, expected).await? {
                Some(other) => Update::Conflict(other),
                None => Update::Gone,
            }),
            Ok(_) => Ok(Update::Updated(version)),
            Err(error) => self.settle(id, error, |row| row.version == version).await.map(|()| Update::Updated(version)),
        }
    }

    /// Returns the record that is stored instead of the expected version: `None` if there is none, `Some(None)` if it
    /// can't be read.
    async fn other(
        &self,
        id: &SessionId,
        row: Option<super::row::Row>,
        expected: &Version,
    ) -> Result<Option<Option<Stored>>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let version = row.version(0).map_err(SqlStoreError::of_read)?;
        if version != *expected {
            return Ok(Some(stored(id, &row).ok()));
        }
        // The row comes from the statement's snapshot. Another write committed after that, while this one waited for
        // its lock.
        match self.load_row(id).await {
            Ok(None) => Ok(None),
            Ok(Some(stored)) if stored.version != *expected => Ok(Some(Some(stored))),
            Ok(Some(_)) => Ok(Some(None)),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(Some(None)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn touch_row(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let (used, expires) = (usage.used_millis(), usage.expires_millis());
        let values = vec![id_of(id), Value::from(used), Value::from(expires), Value::from(self.now())];
        match self.write(&self.statements().touch, values).await {
            Ok(Answer { written: 0, .. }) => Ok(Touch::Gone),
            Ok(_) => Ok(Touch::Touched),
            // A touch never moves a time back. If both times are at least those of this touch, it has the effect of
            // this one.
            Err(error) => {
                let is_done = |row: &super::store::Looked| row.used >= used && row.expires >= expires;
                self.settle(id, error, is_done).await.map(|()| Touch::Touched)
            }
        }
    }

    /// An unanswered remove is not read back: if the row is absent, any request may have removed it.
    pub(super) async fn remove_row(&self, id: &SessionId) -> Result<bool, StoreError> {
        let values = vec![id_of(id), Value::from(self.now())];
        let answer = self.write(&self.statements().remove, values).await.map_err(SqlStoreError::of_write)?;
        Ok(answer.written > 0)
    }

    pub(super) async fn end_row(&self, id: &SessionId, expected: &Version) -> Result<End, StoreError> {
        let values = vec![id_of(id), Value::from(expected.as_bytes()), Value::from(self.now())];
        match self.write(&self.statements().end, values).await {
            Ok(Answer { written: 0, row }) => Ok(match self.other(id, row, expected).await? {
                Some(other) => End::Conflict(other),
                None => End::Gone,
            }),
            Ok(_) => Ok(End::Ended),
            Err(error) if error.is_unanswered() => match self.load_row(id).await {
                // Another write came first. This one no longer finds its version, so it can't take effect later either.
                Ok(Some(stored)) if stored.version != *expected => Ok(End::Conflict(Some(stored))),
                _ => Err(error.of_write()),
            },
            Err(error) => Err(error.of_write()),
        }
    }

    pub(super) async fn rename_row(
        &self,
        (from, to): (&SessionId, &SessionId),
        expected: &Version,
        (tombstone, record): (&Arc<Record>, &Arc<Record>),
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let (mut values, version) = self.row(to, record, usage)?;
        let (mut grave, _) = self.row(from, tombstone, Usage::at(tombstone, usage.used_at))?;
        values.extend([Value::from(self.now()), Value::from(expected.as_bytes())]);
        values.extend(grave.drain(..8));
        let renamed = match &self.statements().rename {
            Some(rename) => self.write(rename, values).await.map(|Answer { written, row }| match written {
                0 => Moved::Not(row),
                1 => Moved::Exists,
                _ => Moved::Renamed,
            }),
            None => self.rename_in_steps(to, values).await,
        };
        match renamed {
            Ok(Moved::Renamed) => Ok(Rename::Renamed(version)),
            Ok(Moved::Exists) => Ok(Rename::Exists),
            Ok(Moved::Not(row)) => {
                let row = match row {
                    Some(row) => self.other(from, Some(row), expected).await?,
                    None if self.statements().rename.is_some() => None,
                    None => match self.load_row(from).await {
                        Ok(stored) => stored.map(|stored| (stored.version != *expected).then_some(stored)),
                        Err(error) if error.kind() == StoreErrorKind::Corrupt => Some(None),
                        Err(error) => return Err(error),
                    },
                };
                Ok(row.map_or(Rename::Gone, Rename::Conflict))
            }
            Err(error) => self.settle(to, error, |row| row.version == version).await.map(|()| Rename::Renamed(version)),
        }
    }

    /// Renames in one transaction of two statements. If the new id is taken, the insert fails and the transaction is
    /// undone. If the row there is expired, removes it and tries again.
    async fn rename_in_steps(&self, to: &SessionId, values: Vec<Value>) -> Result<Moved, SqlStoreError> {
        for _ in 0..RENAMES {
            match self.engine().transact(&self.statements().rename_steps, values.clone()).await {
                Ok(0) => return Ok(Moved::Not(None)),
                Ok(_) => return Ok(Moved::Renamed),
                Err(error) if error.meaning() == Meaning::Duplicate => {
                    let values = vec![id_of(to), Value::from(self.now())];
                    let removed = self.write(&self.statements().remove_expired, values).await;
                    // The rename itself was undone.
                    match removed {
                        Ok(Answer { written: 0, .. }) => return Ok(Moved::Exists),
                        Ok(_) => {}
                        Err(error) => return Err(error.of_step()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Moved::Exists)
    }
}

/// The outcome of a rename.
enum Moved {
    Renamed,
    Exists,
    /// The old id has another version or is absent; contains the stored row, if it was read.
    Not(Option<super::row::Row>),
}
