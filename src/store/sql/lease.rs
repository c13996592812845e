//! Leases: two columns of the session's row.

use std::time::Duration;

use tokio::{sync::oneshot, time::Instant};

use super::{engine::Answer, error::SqlStoreError, row::stored, store::SqlStore, value::Value};
use crate::{
    clock,
    id::SessionId,
    store::{Acquire, Holder, StoreError, Version, backoff::Backoff, released::heard},
};

/// The pauses between reads of a lease that another process may give back. A lease that this process gives back wakes
/// its waiters at once.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// How long a wait lasts before its caller tries to take the lease again.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl SqlStore {
    /// Takes the lease. If the caller is dropped before the answer arrives, gives the lease back.
    pub(super) async fn acquire_row(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let (told, answer) = oneshot::channel();
        // Read the time now. If the caller is dropped and this task runs late, the lease still ends no later than
        // requested.
        let (store, id, now) = (self.clone(), *id, self.now());
        tokio::spawn(async move {
            let taken = store.take_lease(&id, holder, now, time).await;
            if let Err(Ok(Acquire::Acquired { .. })) = told.send(taken) {
                // If this fails too, the lease expires by itself.
                let _ = store.release_row(&id, holder).await;
            }
        });
        answer.await.unwrap_or_else(|_| Err(SqlStoreError::row("the runtime has ended").of_write()))
    }

    async fn take_lease(
        &self,
        id: &SessionId,
        holder: Holder,
        now: u64,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let version = Version::random().map_err(super::store::no_randomness)?;
        let until = clock::later(clock::from_millis(now), time);
        let bytes = holder.to_u128().to_be_bytes();
        let values = vec![
            Value::from(&id.as_bytes()[..]),
            Value::from(now),
            Value::from(&bytes[..]),
            Value::from(clock::to_millis(until)),
            Value::from(version.as_bytes()),
        ];
        match self.write(&self.statements().acquire, values).await {
            // The written row comes without the owner's epoch.
            Ok(Answer { written: 1.., row }) => {
                let stored = row.and_then(|row| stored(id, &row).ok());
                let stored = stored.map(|stored| stored.with_owner_epoch(crate::store::OwnerEpoch::NotAsked));
                Ok(Acquire::Acquired { until, stored })
            }
            Ok(Answer { row: Some(_), .. }) => Ok(Acquire::Held),
            Ok(Answer { row: None, .. }) => Ok(Acquire::Absent),
            Err(error) => {
                let mine = (bytes.to_vec(), clock::to_millis(until));
                self.settle(id, error, |row| row.lease == Some(mine)).await.map(|()| Acquire::acquired(until))
            }
        }
    }

    pub(super) async fn release_row(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let bytes = holder.to_u128().to_be_bytes();
        let values = vec![Value::from(&id.as_bytes()[..]), Value::from(self.now()), Value::from(&bytes[..])];
        let answer = self.write(&self.statements().release, values).await.map_err(SqlStoreError::of_write)?;
        if answer.written > 0 {
            self.inner.released.ring(id);
        }
        Ok(answer.written > 0)
    }

    /// Waits until the lease has been given back, has expired, or can't be read, but not longer than about
    /// [`LONGEST_WAIT`].
    pub(super) async fn lease_ended(&self, id: &SessionId) {
        self.lease_ended_with(id, Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)).await;
    }

    async fn lease_ended_with(&self, id: &SessionId, mut pauses: Backoff) {
        let (began, mut left, mut ring) = (Instant::now(), Duration::MAX, self.inner.released.next(id));
        while began.elapsed() < LONGEST_WAIT {
            heard(ring, pauses.next().min(left)).await;
            // Listen before the read, so that a ring during the read isn't missed.
            ring = self.inner.released.next(id);
            let Ok(Some(until)) = self.lease_until(id).await else { return };
            let Ok(time) = clock::from_millis(until).duration_since(clock::from_millis(self.now())) else { return };
            left = time;
        }
    }

    /// Returns the time when the lease ends, in milliseconds. `None` if there is no lease or no session.
    async fn lease_until(&self, id: &SessionId) -> Result<Option<u64>, SqlStoreError> {
        let values = vec![Value::from(&id.as_bytes()[..])];
        let rows = self.engine().read(&self.statements().look, values).await?;
        rows.first().filter(|row| !row.is_null(4)).map(|row| row.int(4)).transpose()
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use tokio::time::timeout;

    use super::*;
    use crate::{
        Clock, SessionStore as _,
        id::{SessionToken, TokenCheck},
        lifetime::Lifetime,
        record::Record,
        store::{Clearing as _, Create, End, Leases as _, Rename, Usage},
    };

    const LIMIT: Duration = Duration::from_secs(20);
    const DAY: Duration = Duration::from_secs(86_400);

    fn record() -> Arc<Record> {
        Arc::new(Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()))
    }

    fn fresh_id() -> SessionId {
        SessionToken::generate().expect("random numbers").identify("sid").0
    }

    /// Creates a leased session. Returns its id, its version, and a waiter that reads the lease only if it is woken.
    async fn waiting(
        store: &SqlStore,
        holder: Holder,
    ) -> (SessionId, Version, impl Future<Output = Result<(), tokio::time::error::Elapsed>>) {
        let (id, record) = (fresh_id(), record());
        let made = store.create(&id, &record, Usage::at(&record, SystemTime::now())).await.expect("it answers");
        assert!(matches!(made, Create::Created(_)));
        let taken = store.acquire(&id, holder, DAY).await.expect("it answers");
        let version = store.load(&id).await.expect("it answers").expect("it is there").version;
        assert!(matches!(taken, Acquire::Acquired { .. }));
        let (store, ready) = (store.clone(), Arc::new(tokio::sync::Notify::new()));
        let is_ready = Arc::clone(&ready);
        let waiter = tokio::spawn(async move {
            let wait = store.lease_ended_with(&id, Backoff::new(DAY, DAY));
            let mut wait = std::pin::pin!(wait);
            // The first poll begins to listen.
            let first = std::future::poll_fn(|cx| std::task::Poll::Ready(wait.as_mut().poll(cx).is_pending())).await;
            assert!(first, "the lease is held");
            is_ready.notify_one();
            wait.await;
        });
        ready.notified().await;
        (id, version, async { timeout(LIMIT, waiter).await.map(|ended| ended.expect("no panic")) })
    }

    #[tokio::test]
    async fn a_waiter_is_woken_by_what_ends_the_lease_in_this_process() {
        let store = SqlStore::sqlite_in_memory().sweep_interval(None).create().await.unwrap();
        let holder = Holder::generate().unwrap();

        let (id, _, waited) = waiting(&store, holder).await;
        assert!(store.release(&id, holder).await.unwrap());
        assert!(waited.await.is_ok(), "a release");

        let (id, _, waited) = waiting(&store, holder).await;
        assert!(store.remove(&id).await.unwrap());
        assert!(waited.await.is_ok(), "a remove");

        let (id, version, waited) = waiting(&store, holder).await;
        assert!(matches!(store.end(&id, &version, SystemTime::now()).await.unwrap(), End::Ended));
        assert!(waited.await.is_ok(), "an end");

        let (id, version, waited) = waiting(&store, holder).await;
        let (to, record) = (fresh_id(), record());
        let check = TokenCheck::from_bytes([9; 16]);
        let tombstone = Record::tombstone(check, Clock::system().now(), DAY, None).unwrap();
        let usage = Usage::at(&record, SystemTime::now());
        let moved = store.rename(&id, &version, &Arc::new(tombstone), &to, &record, usage).await.unwrap();
        assert!(matches!(moved, Rename::Renamed(_)));
        assert!(waited.await.is_ok(), "a rename");

        let (_, _, waited) = waiting(&store, holder).await;
        assert_eq!(store.clear().await.unwrap(), 3);
        assert!(waited.await.is_ok(), "a clear");
    }

    #[tokio::test]
    async fn a_lease_that_is_over_or_not_there_ends_the_wait() {
        let store = SqlStore::sqlite_in_memory().sweep_interval(None).create().await.unwrap();
        let (id, record) = (fresh_id(), record());
        let soon = || Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        assert!(timeout(LIMIT, store.lease_ended_with(&id, soon())).await.is_ok(), "no session");
        store.create(&id, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
        assert!(timeout(LIMIT, store.lease_ended_with(&id, soon())).await.is_ok(), "no lease");
        let taken = store.acquire(&id, Holder::generate().unwrap(), Duration::from_millis(50)).await.unwrap();
        assert!(matches!(taken, Acquire::Acquired { .. }));
        assert!(timeout(LIMIT, store.lease_ended_with(&id, soon())).await.is_ok(), "a lease that is over");
    }
}
