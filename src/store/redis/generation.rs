//! Removes everything at once, by generations.
//!
//! Each record and epoch contains the generation that its partition had when it was created. If it is older than the
//! partition's, the record or epoch counts as absent. `clear` raises the generation of every partition, which ends all
//! sessions, and then removes what is left of them.

use super::{
    joined::{AT_ONCE, boxed, joined},
    key::PARTITIONS,
    link::LinkError,
    listing::MOST,
    reply::number,
    script,
    store::RedisStore,
};
use crate::store::{StoreError, StoreErrorKind};

impl RedisStore {
    /// Ends all sessions, and returns how many were live.
    pub(super) async fn clear_all(&self) -> Result<u64, StoreError> {
        let partitions: Vec<u16> = (0..PARTITIONS).collect();
        let before = self.newest(&partitions).await?;
        // Two concurrent clears may choose the same generation. Then each ends what was created before either of them
        // began.
        let cleared = before + 1;
        let mut count = 0;
        match self.raise_all(&partitions, cleared).await {
            // The server is full. Removing sessions first makes room for the generations. The generations are still
            // needed: without them, a session that is being renewed could escape.
            Err(error) if error.is_out_of_memory() => {
                count = self.wipe_all(cleared, before).await?;
                self.raise(&partitions, cleared).await.map_err(half_done)?;
            }
            raised => raised.map_err(LinkError::of_write)?,
        }
        Ok(count + self.wipe_all(cleared, before).await.map_err(half_done)?)
    }

    /// Removes everything that is older than the generation `cleared`.
    async fn wipe_all(&self, cleared: u64, before: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for primary in self.inner.link.primaries().await.map_err(LinkError::of_read)? {
            for pattern in [self.inner.keys.all_sessions(), self.inner.keys.all_epochs()] {
                let mut cursor = 0;
                loop {
                    let (keys, next) = self.scan(primary, cursor, &pattern, MOST).await?;
                    count += self.wipe(keys, cleared, before).await?;
                    if next == 0 {
                        break;
                    }
                    cursor = next;
                }
            }
        }
        Ok(count)
    }

    /// Returns the newest generation of these partitions.
    pub(super) async fn newest(&self, partitions: &[u16]) -> Result<u64, StoreError> {
        let mut newest = 0;
        for groups in self.groups(partitions.to_vec(), |partition| *partition).chunks(AT_ONCE) {
            let ask = |group: &Vec<u16>| boxed(self.run_on(&script::NEWEST, self.generations(group), Vec::new()));
            for reply in joined(groups.iter().map(ask).collect()).await {
                newest = newest.max(number(reply.map_err(LinkError::of_read)?)?);
            }
        }
        Ok(newest)
    }

    /// Raises these partitions to a generation. Leaves those that are newer.
    pub(super) async fn raise(&self, partitions: &[u16], to: u64) -> Result<(), StoreError> {
        self.raise_all(partitions, to).await.map_err(LinkError::of_write)
    }

    async fn raise_all(&self, partitions: &[u16], to: u64) -> Result<(), LinkError> {
        let to = to.to_string();
        for groups in self.groups(partitions.to_vec(), |partition| *partition).chunks(AT_ONCE) {
            let raised = groups.iter().map(|group| boxed(self.raise_group(group, to.as_bytes())));
            for reply in joined(raised.collect()).await {
                reply?;
            }
        }
        Ok(())
    }

    async fn raise_group(&self, partitions: &[u16], to: &[u8]) -> Result<(), LinkError> {
        let raise = || self.run_on(&script::RAISE, self.generations(partitions), vec![to]);
        match raise().await {
            // Sending it again raises only the partitions that the first attempt has not raised.
            Err(LinkError::Unanswered(_)) => raise().await.map(drop),
            reply => reply.map(drop),
        }
    }

    fn generations(&self, partitions: &[u16]) -> Vec<String> {
        partitions.iter().map(|&partition| self.inner.keys.generation_of(partition)).collect()
    }

    /// Removes the values under these keys that are older than the generation `cleared`.
    async fn wipe(&self, keys: Vec<Vec<u8>>, cleared: u64, before: u64) -> Result<u64, StoreError> {
        let keys: Vec<_> = keys.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect();
        let (cleared, before) = (cleared.to_string(), before.to_string());
        let mut count = 0;
        for groups in self.groups(keys, |key| self.inner.keys.partition_of(key)).chunks(AT_ONCE) {
            let args = || vec![cleared.as_bytes(), before.as_bytes()];
            let wiped = groups.iter().map(|keys| boxed(self.run_on(&script::WIPE, keys.clone(), args())));
            for reply in joined(wiped.collect()).await {
                count += number(reply.map_err(LinkError::of_write)?)?;
            }
        }
        Ok(count)
    }
}

/// Sessions have ended already, so the error must not say that nothing has changed.
fn half_done(error: StoreError) -> StoreError {
    if error.may_have_happened() { error } else { error.of_kind(StoreErrorKind::OutcomeUnknown) }
}
