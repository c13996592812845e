//! Blocking calls: off the async threads, a bounded number at once, and one writer a shard.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    task::JoinError,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    FileStoreError,
    disk::Disk,
    layout::SHARDS,
    locks::{Locks, Shards},
};
use crate::store::{StoreError, StoreErrorKind};

/// The first and the longest pause before another process's lock is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Where blocking calls run.
///
/// A writer first waits for its turn among this process's writers of the shard, in order and asynchronously. Then, in
/// one blocking call, it takes the lock file, does its work and releases the lock. If another process has the lock,
/// the call ends and is tried again later: so a process that was stopped while it held a lock keeps no thread of ours,
/// and no call in another shard, waiting.
#[derive(Debug)]
pub(super) struct Pool {
    calls: Arc<Semaphore>,
    most_calls: u32,
    shards: Box<[Shard]>,
    deadline: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    turn: Arc<Mutex<()>>,
    released: Notify,
}

/// A writer's work with what it holds. Dropped on whichever thread it ends.
struct Writer<W> {
    disk: Arc<Disk>,
    shards: Shards,
    work: W,
    turns: [Option<OwnedMutexGuard<()>>; 2],
    call: OwnedSemaphorePermit,
}

enum Tried<W, T> {
    Done(Result<T, StoreError>),
    Busy(W, [Option<OwnedMutexGuard<()>>; 2]),
}

impl<W> Writer<W> {
    fn run<T>(self) -> Tried<W, T>
    where
        W: FnOnce(&Locks) -> Result<T, StoreError>,
    {
        let Self { disk, shards, work, turns, call } = self;
        let tried = match Locks::try_take(&disk.layout, shards) {
            Ok(Some(locks)) => Tried::Done(work(&locks)),
            Ok(None) => return Tried::Busy(work, turns),
            Err(error) => Tried::Done(Err(error.into())),
        };
        // The lock is released above, before the next writer's turn comes.
        drop((turns, call));
        tried
    }
}

impl Pool {
    pub(super) fn new(calls: u16, deadline: Duration) -> Self {
        let most_calls = calls.max(1);
        Self {
            calls: Arc::new(Semaphore::new(usize::from(most_calls))),
            most_calls: u32::from(most_calls),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            deadline,
        }
    }

    /// Runs a call that needs no lock.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let call = self.call(Instant::now() + self.deadline).await?;
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(call);
            outcome
        });
        task.await.unwrap_or_else(|error| Err(ended(error)))
    }

    /// Runs a call that holds the locks of these shards.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        disk: Arc<Disk>,
        shards: Shards,
        work: impl FnOnce(&Locks) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + self.deadline;
        let late = || self.late(&disk, shards);
        let first = self.turn(shards.first, until).await.ok_or_else(late)?;
        let second = match shards.second {
            Some(shard) => Some(self.turn(shard, until).await.ok_or_else(late)?),
            None => None,
        };
        let (mut work, mut turns, mut pause) = (work, [Some(first), second], FIRST_PAUSE);
        loop {
            let call = self.call(until).await?;
            let writer = Writer { disk: Arc::clone(&disk), shards, work, turns, call };
            match tokio::task::spawn_blocking(move || writer.run()).await {
                Ok(Tried::Done(outcome)) => return outcome,
                Ok(Tried::Busy(unused, held)) => (work, turns) = (unused, held),
                Err(error) => return Err(ended(error)),
            }
            if Instant::now() >= until {
                return Err(late());
            }
            sleep_until((Instant::now() + pause).min(until)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until a lease in this shard is given back in this process, at most this long.
    pub(super) async fn released(&self, shard: u8, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.shards[usize::from(shard)].released.notified()).await;
    }

    /// Wakes those that wait for a lease in this shard.
    pub(super) fn release(&self, shard: u8) {
        self.shards[usize::from(shard)].released.notify_waiters();
    }

    /// Lets no further call begin, and waits for those that run, at most for the deadline. `false` if one goes on.
    pub(super) async fn drain(&self) -> bool {
        let drained = tokio::time::timeout(self.deadline, self.calls.acquire_many(self.most_calls)).await;
        self.calls.close();
        // Closed already is drained already.
        drained.is_ok()
    }

    /// A place among the calls that may run at once.
    async fn call(&self, until: Instant) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(call) = Arc::clone(&self.calls).try_acquire_owned() {
            return Ok(call);
        }
        match timeout_at(until, Arc::clone(&self.calls).acquire_owned()).await {
            Ok(Ok(call)) => Ok(call),
            Ok(Err(_)) => Err(StoreError::new(StoreErrorKind::Unavailable).because("the file store was closed")),
            Err(_) => Err(StoreError::new(StoreErrorKind::Timeout)
                .because("all of the file store's blocking calls were taken; the disk may be stalled")),
        }
    }

    async fn turn(&self, shard: u8, until: Instant) -> Option<OwnedMutexGuard<()>> {
        let turn = &self.shards[usize::from(shard)].turn;
        match Arc::clone(turn).try_lock_owned() {
            Ok(guard) => Some(guard),
            Err(_) => timeout_at(until, Arc::clone(turn).lock_owned()).await.ok(),
        }
    }

    fn late(&self, disk: &Disk, shards: Shards) -> StoreError {
        let path = disk.layout.lock(shards.first);
        let found = format!("another writer has held it for {:?}", self.deadline);
        FileStoreError::found(StoreErrorKind::Timeout, "get the lock", path, found)
            .advise("see which process has it (fuser), and whether it is stopped")
            .into()
    }
}

/// The call panicked, or the runtime is shutting down.
fn ended(error: JoinError) -> StoreError {
    let kind = if error.is_cancelled() { StoreErrorKind::Unavailable } else { StoreErrorKind::OutcomeUnknown };
    StoreError::new(kind).because(error)
}
