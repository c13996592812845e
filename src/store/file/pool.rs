//! Runs blocking calls off the async threads: a limited number at once, one writer in each shard, and a time limit for
//! each call.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinError,
    time::{Instant, timeout, timeout_at},
};

use super::{
    FileStoreError,
    disk::Disk,
    layout::SHARDS,
    locks::{Locks, Shards},
};
use crate::{
    clock,
    store::{StoreError, StoreErrorKind},
};

/// The first and the longest pause before another process's lock is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

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

/// The running calls.
#[derive(Debug)]
struct Places {
    most: u32,
    state: Mutex<State>,
    /// Notified when a call has ended.
    ended: Notify,
    /// Notified when a writer of the shard has ended.
    turns: Box<[Notify]>,
}

#[derive(Debug)]
struct State {
    running: u32,
    closed: bool,
    turns: Box<[Turn]>,
}

/// The writers of one shard in this process.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    taken: bool,
    /// How many writers wait.
    line: u32,
    /// Another process had the lock. No writer tries it again before this time.
    not_before: Option<Instant>,
    pause: Duration,
}

/// A running call's place, with its shards' turns.
struct Place<'a> {
    places: &'a Places,
    shards: Option<Shards>,
}

/// Why a call can't begin now.
enum Full {
    Closed,
    /// All places are taken.
    Calls,
    /// This shard's turn is taken, or another process has its lock.
    Shard(u8),
}

/// The outcome of one try.
enum Tried<W, T> {
    Done(Result<T, StoreError>),
    /// The shard was not free, or another process had its lock.
    NotNow(W),
}

/// The caller's half of a call. Caller and thread share a state: after the caller has gone, or has reported a timeout,
/// the thread changes nothing.
#[derive(Debug)]
struct Caller(Arc<AtomicU8>);

/// The thread's half of a call.
#[derive(Debug)]
pub(super) struct Claim(Arc<AtomicU8>);

const WAITING: u8 = 0;
const CHANGING: u8 = 1;
const GONE: u8 = 2;

impl Caller {
    fn new() -> (Self, Claim) {
        let state = Arc::new(AtomicU8::new(WAITING));
        (Self(Arc::clone(&state)), Claim(state))
    }

    /// Gives up. Returns `true` if the thread has not begun to change anything, and never will.
    fn leave(&self) -> bool {
        let left = self.0.compare_exchange(WAITING, GONE, Ordering::AcqRel, Ordering::Acquire);
        left.is_ok() || left == Err(GONE)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Claim {
    /// Begins the change. Returns `false` if the caller has given up: then nothing may be changed.
    fn begin(&self) -> bool {
        self.0.compare_exchange(WAITING, CHANGING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire) != GONE
    }
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
        let state = State { running: 0, closed: false, turns: vec![Turn::default(); SHARDS].into() };
        let notifies = || (0..SHARDS).map(|_| Notify::new()).collect();
        let places =
            Places { most: u32::from(calls.max(1)), state: Mutex::new(state), ended: Notify::new(), turns: notifies() };
        Self { places: Arc::new(places), released: notifies(), wait }
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
                    let turn = self.places.state().turns[usize::from(shard)];
                    again = turn.not_before.filter(|_| !turn.taken).map_or(again, |not_before| not_before.min(again));
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

impl Places {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether a call could begin now. With `behind`, it may not begin before the callers that already wait.
    fn look(&self, shards: Option<Shards>, behind: bool) -> Result<(), Full> {
        self.state().look(self.most, shards, behind)
    }

    fn take(&self, shards: Option<Shards>) -> Result<Place<'_>, Full> {
        let mut state = self.state();
        state.look(self.most, shards, false)?;
        state.running += 1;
        for shard in shards.iter().flat_map(Shards::iter) {
            state.turns[usize::from(shard)].taken = true;
        }
        Ok(Place { places: self, shards })
    }
}

impl State {
    fn look(&self, most: u32, shards: Option<Shards>, behind: bool) -> Result<(), Full> {
        if self.closed {
            return Err(Full::Closed);
        }
        for shard in shards.iter().flat_map(Shards::iter) {
            let turn = &self.turns[usize::from(shard)];
            let is_early = turn.not_before.is_some_and(|not_before| Instant::now() < not_before);
            if turn.taken || is_early || (behind && turn.line > 0) {
                return Err(Full::Shard(shard));
            }
        }
        if self.running < most { Ok(()) } else { Err(Full::Calls) }
    }
}

impl Place<'_> {
    /// Notes that another process has the lock of one of these shards. It is not known which one.
    fn busy(&self) {
        let mut state = self.places.state();
        for shard in self.shards.iter().flat_map(Shards::iter) {
            let turn = &mut state.turns[usize::from(shard)];
            turn.pause = (turn.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            turn.not_before = Some(clock::deadline(turn.pause));
        }
    }

    fn got(&self) {
        let mut state = self.places.state();
        for shard in self.shards.iter().flat_map(Shards::iter) {
            let turn = &mut state.turns[usize::from(shard)];
            (turn.pause, turn.not_before) = (Duration::ZERO, None);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.running -= 1;
        for shard in self.shards.iter().flat_map(Shards::iter) {
            state.turns[usize::from(shard)].taken = false;
        }
        drop(state);
        for shard in self.shards.iter().flat_map(Shards::iter) {
            self.places.turns[usize::from(shard)].notify_one();
        }
        self.places.ended.notify_one();
    }
}

/// A writer's place in the line for its shard.
struct Line<'a> {
    places: &'a Places,
    shards: Option<Shards>,
}

impl<'a> Line<'a> {
    fn join(places: &'a Places, shards: Option<Shards>) -> Self {
        let line = Self { places, shards };
        line.each(|count| count + 1);
        line
    }

    fn each(&self, change: impl Fn(u32) -> u32) {
        let mut state = self.places.state();
        for shard in self.shards.iter().flat_map(Shards::iter) {
            let line = &mut state.turns[usize::from(shard)].line;
            *line = change(*line);
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.each(|count| count - 1);
    }
}

/// Runs a call on a blocking thread of the caller's runtime, and waits for it until this time.
async fn run<T: Send + 'static>(
    until: Instant,
    work: impl FnOnce(&Claim) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = Handle::try_current() else {
        let error = StoreError::new(StoreErrorKind::Unavailable);
        return Err(error.because("the file store was called outside of a tokio runtime"));
    };
    let (caller, claim) = Caller::new();
    let task = runtime.spawn_blocking(move || claim.is_wanted().then(|| work(&claim)));
    match timeout_at(until, task).await {
        Ok(Ok(Some(outcome))) => Ok(outcome),
        Ok(Ok(None)) => Err(in_time()),
        Ok(Err(error)) => Err(ended(error, &caller)),
        Err(_) if caller.leave() => Err(in_time()),
        Err(_) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown)
            .because("the disk has not answered in time: the change may still happen")),
    }
}

/// The error if the time limit has passed, and nothing was or will be changed.
fn in_time() -> StoreError {
    StoreError::new(StoreErrorKind::Timeout)
        .because("no blocking thread was free in time, or the disk did not answer; check whether the disk is stalled")
}

/// Returns the error for a call that panicked or whose runtime is shutting down.
fn ended(error: JoinError, caller: &Caller) -> StoreError {
    let kind = match caller.leave() {
        true if error.is_cancelled() => StoreErrorKind::Unavailable,
        true => StoreErrorKind::Other,
        false => StoreErrorKind::OutcomeUnknown,
    };
    StoreError::new(kind).because(error)
}
