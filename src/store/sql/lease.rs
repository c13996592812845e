//! Leases: two columns of the session's row.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{engine::Answer, error::SqlStoreError, row::stored, store::SqlStore, value::Value};
use crate::{
    clock,
    id::SessionId,
    store::{Acquire, Holder, StoreError, Version},
};

impl SqlStore {
    /// Takes the lease. If the caller is dropped before the answer arrives, gives the lease back.
    pub(super) async fn acquire_row(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let (told, answer) = oneshot::channel();
        // Read the time now. If the caller is dropped and this task runs late, the lease still ends no later than
        // requested.
        let (store, id, now) = (self.clone(), *id, self.now());
        tokio::spawn(async move {
            let taken = store.take_lease(&id, holder, now, time).await;
            if let Err(Ok(Acquire::Acquired { .. })) = told.send(taken) {
                // If this fails too, the lease expires by itself.
                let _ = store.release_row(&id, holder).await;
            }
        });
        answer.await.unwrap_or_else(|_| Err(SqlStoreError::row("the runtime has ended").of_write()))
    }

    async fn take_lease(
        &self,
        id: &SessionId,
        holder: Holder,
        now: u64,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let version = Version::random().map_err(super::store::no_randomness)?;
        let until = clock::later(clock::from_millis(now), time);
        let bytes = holder.to_u128().to_be_bytes();
        let values = vec![
            Value::from(&id.as_bytes()[..]),
            Value::from(now),
            Value::from(&bytes[..]),
            Value::from(clock::to_millis(until)),
            Value::from(version.as_bytes()),
        ];
        match self.write(&self.statements().acquire, values).await {
            // The written row comes without the owner's epoch.
            Ok(Answer { written: 1.., row }) => {
                let stored = row.and_then(|row| stored(id, &row).ok());
                let stored = stored.map(|stored| stored.with_owner_epoch(crate::store::OwnerEpoch::NotAsked));
                Ok(Acquire::Acquired { until, stored })
            }
            Ok(Answer { row: Some(_), .. }) => Ok(Acquire::Held),
            Ok(Answer { row: None, .. }) => Ok(Acquire::Absent),
            Err(error) => {
                let mine = (bytes.to_vec(), clock::to_millis(until));
                self.settle(id, error, |row| row.lease == Some(mine)).await.map(|()| Acquire::acquired(until))
            }
        }
    }

    pub(super) async fn release_row(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let bytes = holder.to_u128().to_be_bytes();
        let values = vec![Value::from(&id.as_bytes()[..]), Value::from(self.now()), Value::from(&bytes[..])];
        let answer = self.write(&self.statements().release, values).await.map_err(SqlStoreError::of_write)?;
        Ok(answer.written > 0)
    }
}
