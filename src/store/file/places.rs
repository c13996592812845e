//! The running calls, and the writers that wait for their turn in a shard.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{layout::SHARDS, locks::Shards, turn::Turn};

/// The running calls.
#[derive(Debug)]
pub(super) struct Places {
    most: u32,
    state: Mutex<State>,
    /// Notified when a call has ended.
    pub(super) ended: Notify,
    /// Notified when a writer of the shard has ended.
    pub(super) turns: Box<[Notify]>,
}

/// The calls and the turns, under one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) running: u32,
    pub(super) closed: bool,
    pub(super) turns: Box<[Turn]>,
}

/// A running call's place, with its shards' turns.
pub(super) struct Place<'a> {
    places: &'a Places,
    shards: Option<Shards>,
}

/// Why a call can't begin now.
pub(super) enum Full {
    Closed,
    /// All places are taken.
    Calls,
    /// This shard's turn is taken, or another process has its lock.
    Shard(u8),
}

impl Places {
    pub(super) fn new(most: u32) -> Self {
        let state = State { running: 0, closed: false, turns: vec![Turn::default(); SHARDS].into() };
        Self {
            most,
            state: Mutex::new(state),
            ended: Notify::new(),
            turns: (0..SHARDS).map(|_| Notify::new()).collect(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether a call could begin now. With `behind`, it may not begin before the callers that already wait.
    pub(super) fn look(&self, shards: Option<Shards>, behind: bool) -> Result<(), Full> {
        self.state().look(self.most, shards, behind)
    }

    pub(super) fn take(&self, shards: Option<Shards>) -> Result<Place<'_>, Full> {
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
            if !self.turns[usize::from(shard)].is_open(behind) {
                return Err(Full::Shard(shard));
            }
        }
        if self.running < most { Ok(()) } else { Err(Full::Calls) }
    }
}

impl Place<'_> {
    /// Notes that another process has the lock of one of these shards. It is not known which one.
    pub(super) fn busy(&self) {
        self.each_turn(Turn::busy);
    }

    /// Notes that this process has got the locks.
    pub(super) fn got(&self) {
        self.each_turn(Turn::got);
    }

    fn each_turn(&self, change: impl Fn(&mut Turn)) {
        let mut state = self.places.state();
        for shard in self.shards.iter().flat_map(Shards::iter) {
            change(&mut state.turns[usize::from(shard)]);
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
pub(super) struct Line<'a> {
    places: &'a Places,
    shards: Option<Shards>,
}

impl<'a> Line<'a> {
    pub(super) fn join(places: &'a Places, shards: Option<Shards>) -> Self {
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
