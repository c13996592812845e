//! Sweeping all shards.

use super::{
    disk::Disk,
    locks::{Locks, Shards},
    store::FileStore,
    walk::{self, Sweep},
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{StoreError, Swept},
};

/// How many further passes a clear makes at most. It stops after a pass that finds nothing. One further pass is enough
/// for a session that is renamed once during the clear.
const FURTHER_CLEARING_PASSES: usize = 8;

impl FileStore {
    /// Sweeps every shard, in many blocking calls, so that requests get their turn in between.
    ///
    /// If another process keeps the lock of a shard, the other shards are still swept. The error is returned at the
    /// end.
    pub(super) async fn sweep_all(&self, operation: &'static str, sweep: Sweep) -> Result<Swept, StoreError> {
        let mut swept = self.sweep_once(operation, sweep).await?;
        if sweep == Sweep::All {
            // A rename can move a session from a shard that is not cleared yet into one that is. The next pass finds
            // it.
            for _ in 0..FURTHER_CLEARING_PASSES {
                let missed = self.sweep_once(operation, sweep).await?.deleted;
                swept.deleted += missed;
                if missed == 0 {
                    break;
                }
            }
        }
        tracing::debug!(target: super::events::TARGET, operation, deleted = swept.deleted, remaining = swept.remaining, "swept");
        self.inner.observers.notify(EventKind::Swept { deleted: swept.deleted, remaining: swept.remaining });
        Ok(swept)
    }

    async fn sweep_once(&self, operation: &'static str, sweep: Sweep) -> Result<Swept, StoreError> {
        let (mut swept, mut next, mut failed) = (Swept::default(), Some(0), None);
        while let Some(first) = next {
            let looked = self.read(operation, None, move |disk| disk.look_on(first, sweep)).await?;
            next = looked.next;
            for (shard, found) in looked.shards {
                swept.remaining += found.remaining;
                if found.is_empty() {
                    continue;
                }
                match self.sweep_shard(operation, shard, found.ids, sweep).await {
                    Ok(some) => {
                        swept.deleted += some.deleted;
                        swept.remaining += some.remaining;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    /// Removes the sessions that a look has found in a shard, some at a time, so that other writers get their turn in
    /// between.
    async fn sweep_shard(
        &self,
        operation: &'static str,
        shard: u8,
        mut ids: Vec<SessionId>,
        sweep: Sweep,
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let rest = ids.split_off(ids.len().min(walk::REMOVED_AT_ONCE));
            let work = move |disk: &Disk, locks: &Locks| disk.sweep_some(locks, shard, &ids, sweep);
            let (some, expired) = self.write_shards(operation, None, Shards::one(shard), work).await?;
            expired.into_iter().for_each(|id| self.inner.observers.notify(EventKind::Expired { id, record: None }));
            swept.deleted += some.deleted;
            swept.remaining += some.remaining;
            if rest.is_empty() {
                break;
            }
            ids = rest;
        }
        self.inner.pool.release(shard);
        Ok(swept)
    }
}
