//! Defects of `Owners`.

use session_layer::{
    record::Owner,
    store::{ListedSession, Owners, StoreError},
};

use super::Broken;
use crate::{defects::Defect, reference::Slot};

#[async_trait::async_trait]
impl Owners for Broken {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let mut listed = self.inner.list_owner(owner).await?;
        let (state, now) = (self.inner.raw(), self.inner.now());
        let taken = state.slots.iter().filter(|(_, Slot { stored, .. })| {
            let held = stored.record.owner().map(Owner::name);
            let confused = held.is_some_and(|held| **held != *owner && self.confuses(owner, held));
            confused && stored.record.is_session() && !stored.is_expired(now)
        });
        listed.extend(taken.map(|(id, slot)| ListedSession::new(*id).with_stored(slot.stored.clone())));
        match self.defect {
            Defect::ListsOnePage => listed.truncate(100),
            Defect::ListsCreatedOnly => {
                let bin = self.bin.raw();
                listed.retain(|owned| {
                    let was = bin.slots.get(&owned.id).and_then(|slot| slot.stored.record.owner());
                    was.is_some_and(|was| **was.name() == *owner)
                });
            }
            _ => {}
        }
        Ok(listed)
    }
}
