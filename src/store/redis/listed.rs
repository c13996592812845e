//! Sessions that are known to be on their owner's list.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::id::SessionId;

/// How many ids are remembered.
const REMEMBERED: usize = 16_384;

/// Sessions that this process has put on their owner's list, where the list is on another server than the session, so
/// that not every write asks.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashSet<SessionId>>);

impl Listed {
    /// Whether this is to be listed now; it counts as listed from then on.
    pub(super) fn is_first(&self, id: &SessionId) -> bool {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() >= REMEMBERED {
            listed.clear();
        }
        listed.insert(*id)
    }

    pub(super) fn forget(&self, id: &SessionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
