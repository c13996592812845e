//! The sessions that this process has put on their owner's list.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::id::SessionId;

/// How many ids are remembered as listed with their owner.
const REMEMBERED: usize = 16_384;

/// Sessions that this process has put on their owner's list, so that not every update reads the list.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashSet<SessionId>>);

impl Listed {
    /// Marks a session as listed with its owner by this process. Returns `false` if it is marked already.
    pub(super) fn mark(&self, id: &SessionId) -> bool {
        let mut listed = self.lock();
        if listed.len() >= REMEMBERED {
            listed.clear();
        }
        listed.insert(*id)
    }

    /// Removes the mark, so that the session is listed again.
    pub(super) fn forget(&self, id: &SessionId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
