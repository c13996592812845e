//! Owners' epochs: rows of the same table, with the owner's id as the key.

use super::{
    error::SqlStoreError,
    row::record,
    store::{SqlStore, no_randomness},
    value::Value,
};
use crate::{
    id::SessionId,
    record::{Epoch, Owner, Record, RecordKind},
    store::{StoreError, StoreErrorKind, Usage},
};

/// The most attempts to ensure an epoch that others create and remove at the same time.
const TRIES: usize = 8;

impl SqlStore {
    pub(super) async fn keep_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let id = SessionId::for_epoch(owner);
        for _ in 0..TRIES {
            let fresh = new_epoch(owner, usage)?;
            let (mut values, _) = self.row(&id, &fresh, usage)?;
            values.push(Value::from(self.now()));
            // Ensuring an epoch is idempotent, so an unanswered attempt is not read back: the next login tries again.
            let found = self.ensured(values).await.map_err(SqlStoreError::of_write)?;
            // Another request created it after this statement's snapshot, or it expired in the meantime.
            let Some(bytes) = found else { continue };
            let held = record(&id, &bytes)?;
            let epoch = held.owner().filter(|held| **held.name() == *owner).map(Owner::epoch);
            return epoch.filter(|_| held.kind() == RecordKind::Epoch).ok_or_else(|| {
                StoreError::new(StoreErrorKind::Corrupt).on(&id).because("the record is not the epoch of this owner")
            });
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the epoch keeps changing"))
    }

    /// Creates the epoch or extends its life; returns the stored record.
    async fn ensured(&self, values: Vec<Value>) -> Result<Option<Vec<u8>>, SqlStoreError> {
        let statements = self.statements();
        let (row, column) = match &statements.ensure_epoch {
            Some(ensure) => (self.write(ensure, values).await?.row, 1),
            None => {
                let [make, read] = &statements.ensure_epoch_steps;
                let text = format!("{};\n{}", make.rendered(&values), read.rendered(&values));
                (self.engine().run(text).await?.into_iter().next(), 0)
            }
        };
        row.map(|row| row.bytes(column).map(<[u8]>::to_vec)).transpose()
    }

    pub(super) async fn change_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        let (mut values, version) = self.row(&id, &new_epoch(owner, usage)?, usage)?;
        values.push(Value::from(self.now()));
        match self.write(&self.statements().renew_epoch, values).await {
            // If there was no epoch to renew, the owner's sessions are revoked as well: an absent epoch matches none.
            Ok(_) => Ok(()),
            Err(error) => self.settle(&id, error, |row| row.version == version).await,
        }
    }
}

fn new_epoch(owner: &str, usage: Usage) -> Result<Record, StoreError> {
    let epoch = Epoch::generate().map_err(no_randomness)?;
    let owner = Owner::new(owner, epoch).map_err(|error| StoreError::new(StoreErrorKind::Other).because(error))?;
    Ok(Record::epoch(owner, usage.used_at))
}
