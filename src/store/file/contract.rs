//! Implements the store contract for the file store. `capabilities` has the optional part.

use std::{sync::Arc, time::SystemTime};

use super::{
    disk::Disk,
    layout::Layout,
    locks::{Locks, Shards},
    store::{FileStore, report},
};
use crate::{
    id::SessionId,
    record::Record,
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, SessionStore, StoreError,
        StoreErrorKind, Stored, Touch, Update, Usage, Version,
    },
};

impl SessionStore for FileStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let key = *id;
        let stored = self.read("load", Some(id), move |disk| disk.load(&key)).await?;
        tracing::trace!(target: super::events::TARGET, %id, found = stored.is_some(), "loaded");
        Ok(stored)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let (key, record) = (*id, Arc::clone(record));
        let outcome = self.write("create", id, move |disk, locks| disk.create(locks, &key, &record, usage)).await?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: super::events::TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: super::events::TARGET, %id, operation = "create", "exists"),
        }
        Ok(outcome)
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (key, record, expected) = (*id, Arc::clone(record), *expected);
        let outcome =
            self.write("update", id, move |disk, locks| disk.update(locks, &key, &record, &expected, usage)).await?;
        match outcome {
            Update::Updated(_) => tracing::debug!(target: super::events::TARGET, %id, "updated"),
            Update::Conflict(_) => tracing::info!(target: super::events::TARGET, %id, operation = "update", "conflict"),
            Update::Gone => tracing::info!(target: super::events::TARGET, %id, operation = "update", "gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let key = *id;
        let outcome = self.write("touch", id, move |disk, locks| disk.touch(locks, &key, usage)).await?;
        match outcome {
            Touch::Touched => tracing::debug!(target: super::events::TARGET, %id, "touched"),
            Touch::Gone => tracing::info!(target: super::events::TARGET, %id, operation = "touch", "gone"),
        }
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let key = *id;
        let removed = self.write("remove", id, move |disk, locks| disk.remove(locks, &key)).await?;
        self.inner.pool.release(Layout::shard_of(id));
        tracing::debug!(target: super::events::TARGET, %id, was_there = removed, "removed");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let (key, expected) = (*id, *expected);
        let outcome = self.write("end", id, move |disk, locks| disk.end(locks, &key, &expected)).await?;
        match outcome {
            End::Ended => {
                self.inner.pool.release(Layout::shard_of(id));
                tracing::debug!(target: super::events::TARGET, %id, "ended");
            }
            End::Conflict(_) => tracing::info!(target: super::events::TARGET, %id, operation = "end", "conflict"),
            End::Gone => tracing::info!(target: super::events::TARGET, %id, operation = "end", "gone"),
        }
        Ok(outcome)
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let (old, new, expected) = (*from, *to, *expected);
        let (tombstone, record) = (Arc::clone(tombstone), Arc::clone(record));
        let shards = Shards::both(Layout::shard_of(from), Layout::shard_of(to));
        let work =
            move |disk: &Disk, locks: &Locks| disk.rename(locks, (&old, &new), &expected, (&tombstone, &record), usage);
        let outcome = self.write_shards("rename", Some(from), shards, work).await?;
        match outcome {
            Rename::Renamed(_) => {
                self.inner.pool.release(Layout::shard_of(from));
                tracing::debug!(target: super::events::TARGET, id = %from, %to, "renamed");
            }
            Rename::Conflict(_) => {
                tracing::info!(target: super::events::TARGET, id = %from, operation = "rename", "conflict")
            }
            Rename::Gone => tracing::info!(target: super::events::TARGET, id = %from, operation = "rename", "gone"),
            Rename::Exists => tracing::info!(target: super::events::TARGET, id = %to, operation = "rename", "exists"),
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let (key, known) = (*id, held.version);
        let outcome = self.read("refresh", Some(id), move |disk| disk.refresh(&key, &known)).await?;
        tracing::trace!(target: super::events::TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refreshed");
        Ok(outcome)
    }

    fn name(&self) -> &'static str {
        super::events::NAME
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let key = *id;
        self.read("metadata", Some(id), move |disk| disk.metadata(&key)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.flush_all(false).await.map_err(|error| report(error, "flush", None))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.tasks.stop();
        let drained = self.inner.pool.drain().await;
        let outcome = self.flush_all(true).await;
        let outcome = outcome.and_then(|()| match drained {
            true => Ok(()),
            false => Err(StoreError::new(StoreErrorKind::Timeout).because("a blocking call has not ended")),
        });
        outcome.map_err(|error| report(error, "close", None))
    }
}
