//! Sessions that are already on their owner's list.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::id::SessionId;

/// The number of ids that are remembered.
const REMEMBERED: usize = 16_384;

/// Sessions that this process has put on their owner's list, if the list is on another server than the session. So not
/// every write has to add it again.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashSet<SessionId>>);

impl Listed {
    /// Returns whether the session is yet to be listed. From then on, it counts as listed.
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
