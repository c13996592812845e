//! Leases: part of the session's value, so a lease ends with its session.

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::{
    link::{Cause, LinkError},
    reply::{Reply, unexpected},
    script,
    store::RedisStore,
    value::{Head, Nonce},
};
use crate::{
    clock,
    id::SessionId,
    store::{Acquire, Holder, Metadata, StoreError, backoff::Backoff, released::heard},
};

/// The pauses between two reads of a lease that someone else holds.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// After this long, a waiter tries to take the lease again, even if it still seems to be held.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl RedisStore {
    pub(super) async fn lock_value(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let until = clock::to_millis(clock::later(self.now(), time));
        let reply = match self.take(id, holder, until).await {
            // Sending it again extends the lease that the first request may have taken. The second request has a new
            // nonce. If the first arrives later, the session gets a nonce that it has never had, so no version becomes
            // current again.
            Err(LinkError::Unanswered(cause)) => {
                let again = self.take(id, holder, until).await;
                again.map_err(|_| LinkError::Unanswered(cause).of_write())?
            }
            reply => reply.map_err(LinkError::of_write)?,
        };
        match Reply::read(reply)? {
            Reply::Value(held) => Ok(Acquire::Acquired { until: clock::from_millis(until), stored: Some(held.stored) }),
            Reply::Leased => Ok(Acquire::Held),
            Reply::Gone => Ok(Acquire::Absent),
            _ => Err(unexpected("another script's reply")),
        }
    }

    async fn take(&self, id: &SessionId, holder: Holder, until: u64) -> Result<Value, LinkError> {
        let (place, text) = (self.place(id), until.to_string());
        let bytes = holder.to_u128().to_be_bytes();
        let nonce = Nonce::random().map_err(|error| LinkError::NotSent(Cause::Down(error.to_string().into())))?;
        let args = [&bytes[..], text.as_bytes(), nonce.as_bytes()];
        self.run(&script::LOCK, &[&place.session, &place.generation], &args).await
    }

    pub(super) async fn unlock_value(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let place = self.place(id);
        let bytes = holder.to_u128().to_be_bytes();
        // Not sent again: the first request could arrive later, and release a lease that the holder has taken again.
        let reply = self.run(&script::UNLOCK, &[&place.session, &place.generation], &[&bytes]).await;
        match Reply::read(reply.map_err(LinkError::of_write)?)? {
            Reply::Done(_) => Ok(true),
            Reply::Gone => Ok(false),
            _ => Err(unexpected("another script's reply")),
        }
    }

    /// Waits until the lease may be free: it is released, it has expired, or it can't be read.
    pub(super) async fn lease_ended(&self, id: &SessionId) {
        let began = Instant::now();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (mut left, mut ring) = (LONGEST_PAUSE, self.inner.released.next(id));
        let mut command = redis::cmd("GETRANGE");
        command.arg(self.inner.keys.session(id)).arg(0).arg(89);
        while began.elapsed() < LONGEST_WAIT {
            heard(ring, backoff.next().min(left)).await;
            // Created before the read, so that a ring during the read is not missed.
            ring = self.inner.released.next(id);
            let Ok((Value::BulkString(bytes), _)) = self.inner.link.command(&command).await else { return };
            let Some((_, until)) = Head::read(&bytes).and_then(|head| head.lease) else { return };
            let Ok(time) = clock::from_millis(until).duration_since(self.now()) else { return };
            left = time;
        }
    }

    pub(super) async fn metadata_of(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let Some(held) = self.find(id).await? else { return Ok(None) };
        let now = self.now();
        let metadata = Metadata::of(&held.stored, now);
        Ok(Some(match held.head.lease {
            Some((_, until)) if clock::from_millis(until) > now => metadata.with_lease(clock::from_millis(until)),
            _ => metadata,
        }))
    }
}
