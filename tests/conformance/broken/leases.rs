//! Defects of `Leases`.

use std::{sync::atomic::Ordering, time::Duration};

use session_layer::{
    SessionId,
    store::{Acquire, Holder, Leases, StoreError},
};

use super::{Broken, pause, unknown};
use crate::{defects::Defect, reference::Slot};

#[async_trait::async_trait]
impl Leases for Broken {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        match self.defect {
            Defect::LockHoldsFlag => {
                self.flag().await;
                let locked = self.inner.acquire(id, holder, time).await;
                self.flag.store(false, Ordering::SeqCst);
                return locked;
            }
            Defect::LeaseOutlivesSession => {
                let locked = self.inner.acquire(id, holder, time).await;
                if let Some(slot) = self.inner.raw().slots.get(id).cloned() {
                    self.bin.raw().slots.insert(*id, slot);
                }
                return locked;
            }
            Defect::EveryoneHolds => {
                if let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.lease = None;
                }
            }
            Defect::LockNotAtomic => {
                let now = self.inner.now();
                let free = |slot: &Slot| slot.lease.is_none_or(|(held, until)| held == holder || until <= now);
                let free = self.inner.raw().slots.get(id).is_some_and(free);
                pause().await;
                if free && let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.lease = Some((holder, now + time));
                    return Ok(Acquire::acquired(now + time));
                }
            }
            Defect::LockRevives | Defect::LockLosesUpdate => {
                let locked = self.inner.acquire(id, holder, time).await?;
                if let Acquire::Acquired { .. } = locked {
                    let slot = self.inner.raw().slots.get(id).cloned();
                    pause().await;
                    if let Some(mut slot) = slot {
                        let mut state = self.inner.raw();
                        slot.stored.version = state.next_version();
                        state.slots.insert(*id, slot);
                    }
                }
                return Ok(locked);
            }
            Defect::LockKeepsVersion => {
                let before = self.raw(id);
                let locked = self.inner.acquire(id, holder, time).await?;
                if let (Some(slot), Some(before)) = (self.inner.raw().slots.get_mut(id), before) {
                    slot.stored.version = before.version;
                }
                return Ok(locked);
            }
            Defect::LeaseForEver => {
                let answer = self.inner.acquire(id, holder, Duration::from_secs(1_000_000)).await?;
                return Ok(match answer {
                    Acquire::Acquired { .. } => Acquire::acquired(self.inner.now() + time),
                    other => other,
                });
            }
            Defect::LockTakenForAnothers => {
                let locked = self.inner.acquire(id, holder, time).await;
                return if unknown(&locked) { Ok(Acquire::Held) } else { locked };
            }
            _ => {}
        }
        self.inner.acquire(id, holder, time).await
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        if self.is(Defect::UnlockHoldsFlag) {
            self.flag().await;
            let unlocked = self.inner.release(id, holder).await;
            self.flag.store(false, Ordering::SeqCst);
            return unlocked;
        }
        if self.is(Defect::AnyoneUnlocks) {
            let lease = self.inner.raw().slots.get_mut(id).and_then(|slot| slot.lease.take());
            return Ok(lease.is_some());
        }
        self.inner.release(id, holder).await
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        if self.is(Defect::WaiterSleeps) {
            std::future::pending::<()>().await;
        }
        self.inner.released(id, at_most).await;
    }
}
