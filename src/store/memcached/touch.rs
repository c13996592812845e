//! Moves the expiry of a record's item.

use super::{
    client::{ClientError, Command, Status},
    expiry,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    id::SessionId,
    store::{StoreError, StoreErrorKind, Touch, Usage},
};

impl MemcachedStore {
    /// Moves the expiry of an item to later.
    ///
    /// Memcached has no conditional touch. So the time left is read first, and an item that has enough is not touched.
    /// A touch that restores the time afterwards would leave the shorter time if it was dropped in between.
    ///
    /// One race remains. A and B read the same time left. B touches the item to a later time. A touches it to an
    /// earlier one, and the reply to A contains the time that B has set. A restores that time, and checks again whether
    /// another touch has moved it meanwhile.
    pub(super) async fn touch_item(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let place = self.place(id);
        let now = self.now();
        let until = expiry::reachable(now, usage.expires_at);
        // If an item is touched to a time in the past, memcached expires it at once.
        let is_past = until <= now;
        if is_past || self.inner.options.clear_by_generation {
            let found = self.find(&place).await?.live();
            if is_past || found.is_none() {
                return Ok(if found.is_some() { Touch::Touched } else { Touch::Gone });
            }
        }
        let read = place.call(Command::get(&place.key, "t f")).await.map_err(ClientError::of_read)?;
        match read.status {
            Status::Done => {}
            Status::Miss => return Ok(Touch::Gone),
            status => return Err(unexpected(&status)),
        }
        // The item's flags contain its absolute limit. If another record replaces this one before the touch, memcached
        // may keep that record past its limit, but a load checks the limit.
        let limit = read.client_flags.and_then(expiry::limit_from_flags);
        if limit.is_some_and(|limit| limit <= now) {
            return Ok(Touch::Gone);
        }
        let mut exptime = expiry::exptime(now, limit.map_or(until, |limit| limit.min(until)));
        if read.seconds_left.is_some_and(|left| expiry::reaches(left, exptime)) {
            return Ok(Touch::Touched);
        }
        for _ in 0..TRIES {
            let reply = place.call(Command::touch(&place.key, exptime)).await.map_err(ClientError::of_write)?;
            match reply.status {
                Status::Done => {}
                Status::Miss => return Ok(Touch::Gone),
                status => return Err(unexpected(&status)),
            }
            match reply.seconds_left.and_then(|left| expiry::given_back(left, exptime)) {
                None => return Ok(Touch::Touched),
                Some(before) => exptime = before,
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the item keeps changing"))
    }
}
