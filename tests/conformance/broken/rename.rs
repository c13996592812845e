//! Defects of `rename`.

use std::sync::Arc;

use session_layer::{
    SessionId, SessionStore,
    record::Record,
    store::{Create, Rename, StoreError, Update, Usage, Version},
};

use super::{Broken, pause, unknown};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let Some(held) = self.inner.load(from).await? else { return Ok(Rename::Gone) };
        let buried = Usage::at(tombstone, usage.used_at);
        if self.is(Defect::RenameLeavesTarget) {
            self.inner.create(to, record, usage).await?;
        }
        if held.version != *expected {
            return Ok(Rename::Conflict(None));
        }
        match self.defect {
            Defect::TombstoneFirst => match self.inner.update(from, tombstone, expected, buried).await? {
                Update::Updated(_) => {
                    pause().await;
                    Ok(Rename::Renamed(self.put(to, record, usage)))
                }
                Update::Conflict(_) => Ok(Rename::Conflict(None)),
                Update::Gone => Ok(Rename::Gone),
            },
            Defect::RenameOwnTombstone => {
                let own = Arc::new(Record::plain_tombstone(held.record.check(), usage.used_at));
                self.inner.rename(from, expected, &own, to, record, usage).await
            }
            Defect::RenameWithoutTombstone => match self.inner.create(to, record, usage).await? {
                Create::Created(version) => {
                    self.inner.remove(from).await?;
                    Ok(Rename::Renamed(version))
                }
                Create::Exists => Ok(Rename::Exists),
            },
            Defect::RenameReplaces => {
                let version = self.put(to, record, usage);
                self.inner.update(from, tombstone, expected, buried).await?;
                Ok(Rename::Renamed(version))
            }
            Defect::RenameRollsBack => {
                let Create::Created(version) = self.inner.create(to, record, usage).await? else {
                    return Ok(Rename::Exists);
                };
                match self.inner.update(from, tombstone, expected, buried).await? {
                    Update::Updated(_) => Ok(Rename::Renamed(version)),
                    _ => {
                        self.put(from, &held.record, held.usage());
                        self.inner.remove(to).await?;
                        Ok(Rename::Gone)
                    }
                }
            }
            Defect::RenameLosesUpdates => match self.inner.create(to, record, usage).await? {
                Create::Created(version) => {
                    pause().await;
                    self.put(from, tombstone, buried);
                    Ok(Rename::Renamed(version))
                }
                Create::Exists => Ok(Rename::Exists),
            },
            Defect::RenameSentAgain => {
                let renamed = self.inner.rename(from, expected, tombstone, to, record, usage).await;
                if unknown(&renamed) {
                    return self.inner.rename(from, expected, tombstone, to, record, usage).await;
                }
                renamed
            }
            Defect::RenameLeavesUse => {
                let renamed = self.inner.rename(from, expected, tombstone, to, record, usage).await?;
                self.use_at(to, held.used_at);
                Ok(renamed)
            }
            _ => self.inner.rename(from, expected, tombstone, to, record, usage).await,
        }
    }
}
