//! Runs blocking calls off the async threads: a limited number at once, one writer in each shard, and a time limit for
//! each call.

use std::{io, path::Path, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    FileStoreError,
    caller::{in_time, run},
    disk::Disk,
    layout::SHARDS,
    locks::{Locks, Shards},
    places::{Full, Line, Places},
};
use crate::{
    clock,
    store::{StoreError, StoreErrorKind},
};

/// How often a waiter checks for its turn without being woken. The waiter that was woken may belong to a runtime that
/// is busy or no longer driven.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The least time that a call has for its thread and the disk, even if the wait for a lock is shorter.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Runs blocking calls on the blocking threads of the caller's runtime, with the caller's own timer.
///
/// Only running threads hold places and turns, never futures, so a runtime that is stuck or gone blocks no other. A
/// writer waits asynchronously until its shard is free. Then, in one blocking call, it takes the shard's turn in this
/// process and the lock file, does its work and releases both. If another process has the lock, the call ends and is
/// tried again later. So a process that was stopped while it held a lock blocks none of this process's threads, and no
/// call in another shard.
#[derive(Debug)]
pub(super) struct Pool {
    places: Arc<Places>,
    /// Wakes tasks that wait for a lease.
    released: Box<[Notify]>,
    wait: Duration,
}

/// The outcome of one try.
enum Tried<W, T> {
    Done(Result<T, StoreError>),
    /// The shard was not free, or another process had its lock.
    NotNow(W),
}

/// The time limits of a call.
struct Limit {
    /// For the wait until the call can run.
    wait: Instant,
    /// For the call's result.
    answer: Instant,
}

impl Pool {
    pub(super) fn new(calls: u16, wait: Duration) -> Self {
        let places = Places::new(u32::from(calls.max(1)));
        Self { places: Arc::new(places), released: (0..SHARDS).map(|_| Notify::new()).collect(), wait }
    }

    /// Opens the directory, which is the first call. Outside of a tokio runtime there is neither a blocking thread nor
    /// a timer, so the directory is opened on the caller's thread, without a time limit.
    pub(super) async fn open<T: Send + 'static>(
        &self,
        dir: &Path,
        open: impl FnOnce() -> Result<T, FileStoreError> + Send + 'static,
    ) -> Result<T, FileStoreError> {
        let failed = |error| FileStoreError::io("open the directory", dir, error);
        let Ok(runtime) = Handle::try_current() else { return open() };
        match timeout_at(self.limit().answer, runtime.spawn_blocking(open)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Err(failed(io::Error::other(error))),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into()).of_kind(StoreErrorKind::Timeout)),
        }
    }

    /// Runs a call that needs no lock and changes nothing.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let limit = self.limit();
        let mut work = work;
        loop {
            self.ready(None, limit.wait).await.map_err(|full| self.late(None, &full))?;
            let places = Arc::clone(&self.places);
            let tried = run(limit.answer, move |_| match places.take(None) {
                Ok(_place) => Tried::Done(work()),
                Err(_) => Tried::NotNow(work),
            });
            match tried.await? {
                Tried::Done(outcome) => return outcome,
                Tried::NotNow(unused) => work = unused,
            }
        }
    }

    /// Runs a call that holds the locks of these shards.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        disk: Arc<Disk>,
        shards: Shards,
        work: impl FnOnce(&Locks) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let limit = self.limit();
        let mut work = work;
        loop {
            self.ready(Some(shards), limit.wait).await.map_err(|full| self.late(Some(&disk), &full))?;
            let (places, on) = (Arc::clone(&self.places), Arc::clone(&disk));
            let tried = run(limit.answer, move |claim| {
                let Ok(place) = places.take(Some(shards)) else { return Tried::NotNow(work) };
                let locks = match Locks::try_take(&on.layout, shards) {
                    Ok(Some(locks)) => locks,
                    Ok(None) => {
                        place.busy();
                        return Tried::NotNow(work);
                    }
                    Err(error) => return Tried::Done(Err(error.into())),
                };
                place.got();
                Tried::Done(match on.settle(&locks) {
                    Err(error) => Err(error.into()),
                    Ok(()) if claim.begin() => work(&locks),
                    Ok(()) => Err(in_time()),
                })
            });
            match tried.await? {
                Tried::Done(outcome) => return outcome,
                Tried::NotNow(unused) => work = unused,
            }
        }
    }

    /// Runs a call that must not wait for other calls, and that may run after the store was closed.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        run(self.limit().answer, move |_| work()).await?
    }

    /// Waits until a lease in this shard is released in this process, at most this long.
    pub(super) async fn released(&self, shard: u8, at_most: Duration) {
        let _ = timeout(at_most, self.released[usize::from(shard)].notified()).await;
    }

    /// Wakes the tasks that wait for a lease in this shard.
    pub(super) fn release(&self, shard: u8) {
        self.released[usize::from(shard)].notify_waiters();
    }

    /// Refuses further calls, and waits for the running ones at most until the time limit. Returns `false` if one is
    /// still running.
    pub(super) async fn drain(&self) -> bool {
        let until = self.limit().answer;
        self.places.state().closed = true;
        self.places.ended.notify_waiters();
        loop {
            let ended = self.places.ended.notified();
            if self.places.state().running == 0 {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            let _ = timeout_at(until.min(clock::deadline(LOOK_AGAIN)), ended).await;
        }
    }

    fn limit(&self) -> Limit {
        Limit { wait: clock::deadline(self.wait), answer: clock::deadline(self.wait.max(LEAST_TIME)) }
    }

    /// Waits until a call may begin. Holds nothing meanwhile: the call's thread takes the place.
    async fn ready(&self, shards: Option<Shards>, until: Instant) -> Result<(), Full> {
        // Queues behind the callers that already wait.
        let mut full = match self.places.look(shards, true) {
            Ok(()) => return Ok(()),
            Err(full) => full,
        };
        let _line = Line::join(&self.places, shards);
        loop {
            if matches!(full, Full::Closed) || Instant::now() >= until {
                return Err(full);
            }
            let mut again = clock::deadline(LOOK_AGAIN);
            let freed = match full {
                Full::Shard(shard) => {
                    again = self.places.state().turns[usize::from(shard)].look_again(again);
                    &self.places.turns[usize::from(shard)]
                }
                _ => &self.places.ended,
            };
            let _ = timeout_at(until.min(again), freed.notified()).await;
            match self.places.look(shards, false) {
                Ok(()) => return Ok(()),
                Err(now) => full = now,
            }
        }
    }

    fn late(&self, disk: Option<&Disk>, full: &Full) -> StoreError {
        match (full, disk) {
            (Full::Closed, _) => StoreError::new(StoreErrorKind::Unavailable).because("the file store was closed"),
            (Full::Shard(shard), Some(disk)) => {
                let found = format!("another writer has held it for {:?}", self.wait);
                FileStoreError::found(StoreErrorKind::Timeout, "get the lock", disk.layout.lock(*shard), found)
                    .advise("find the process that holds it (fuser), and check whether it is stopped")
                    .into()
            }
            _ => StoreError::new(StoreErrorKind::Timeout)
                .because("all of the file store's blocking calls were taken; the disk may be stalled"),
        }
    }
}
