//! Defects of `end`.

use std::time::{Duration, SystemTime};

use session_layer::{
    SessionId, SessionStore,
    store::{End, StoreError, Version},
};

use super::{Broken, pause, unknown};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_end(
        &self,
        id: &SessionId,
        expected: &Version,
        now: SystemTime,
    ) -> Result<End, StoreError> {
        let id = &self.slot(id);
        match self.defect {
            Defect::ForgetsEnd => {
                return Ok(if self.inner.load(id).await?.is_some() { End::Ended } else { End::Gone });
            }
            Defect::EndIgnoresVersion => {
                return Ok(if self.inner.remove(id).await? { End::Ended } else { End::Gone });
            }
            Defect::EndAlwaysEnds => {
                return Ok(match self.inner.end(id, expected, now).await? {
                    End::Gone => End::Ended,
                    outcome => outcome,
                });
            }
            Defect::EndByRemoving | Defect::EndsTwice => {
                match self.inner.load(id).await? {
                    None => return Ok(End::Gone),
                    Some(stored) if stored.version != *expected => return Ok(End::Conflict(None)),
                    Some(_) => pause().await,
                }
                let removed = self.inner.remove(id).await?;
                return Ok(if removed || self.is(Defect::EndsTwice) { End::Ended } else { End::Gone });
            }
            Defect::EndSentAgain => {
                let ended = self.inner.end(id, expected, now).await;
                return if unknown(&ended) { self.inner.end(id, expected, now).await } else { ended };
            }
            Defect::EndWaitsForLease => {
                while self.inner.raw().slots.get(id).is_some_and(|slot| slot.lease.is_some()) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            _ => {}
        }
        self.inner.end(id, expected, now).await
    }
}
