//! A store that implements only the required methods.

use std::sync::Arc;

use crate::{
    id::SessionId,
    record::Record,
    store::{Create, OwnerEpoch, SessionStore, StoreError, Stored, Touch, Update, Usage, Version},
};

/// Implements only the five required methods of a store; the contract provides all others. `load` returns no owner's
/// epoch with the record, and a conflict returns no stored record.
///
/// `Bare(FaultStore::new(store))` exposes each step of a provided `rename` or `ensure_epoch` to faults. `Bare(store)`
/// runs the provided implementations over a store that overrides them.
#[derive(Debug, Clone)]
pub struct Bare<S>(pub S);

impl<S: SessionStore> SessionStore for Bare<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.0.load(id).await?.map(|stored| stored.with_owner_epoch(OwnerEpoch::NotAsked)))
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.0.create(id, record, usage).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        Ok(match self.0.update(id, record, expected, usage).await? {
            Update::Conflict(_) => Update::Conflict(None),
            outcome => outcome,
        })
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.0.touch(id, usage).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.0.remove(id).await
    }

    fn in_memory(&self) -> bool {
        self.0.in_memory()
    }

    fn overwrites(&self) -> bool {
        self.0.overwrites()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }
}
