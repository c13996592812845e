//! A bounded map from recently seen ids to values.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use crate::id::SessionId;

/// The number of ids that are remembered: parts with a lock each, and ids in a part.
const PARTS: usize = 64;
const IN_PART: usize = 256;

/// Remembers a value for each of up to 16,384 ids. Two ids can share a place; then the later one replaces the earlier.
///
/// The owners of sessions are remembered so that a load can read the owner's epoch together with the session, by plain
/// commands. A script, which finds the owner itself, takes a server many times as long. A remembered value may be
/// wrong, so every caller compares it with the stored session.
pub(super) struct Recent<T>([Part<T>; PARTS]);

type Part<T> = Mutex<Vec<Option<(SessionId, T)>>>;

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self([const { Mutex::new(Vec::new()) }; PARTS])
    }
}

impl<T: Clone> Recent<T> {
    pub(super) fn get(&self, id: &SessionId) -> Option<T> {
        let (part, at) = place(id);
        let part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        part.get(at)?.as_ref().filter(|(known, _)| known == id).map(|(_, value)| value.clone())
    }

    /// Remembers a value, in place of an earlier one.
    pub(super) fn remember(&self, id: &SessionId, value: T) {
        let (part, at) = place(id);
        let mut part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        if part.is_empty() {
            part.resize(IN_PART, None);
        }
        part[at] = Some((*id, value));
    }

    pub(super) fn forget(&self, id: &SessionId) {
        let (part, at) = place(id);
        let mut part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = part.get_mut(at) {
            known.take_if(|(known, _)| known == id);
        }
    }
}

/// The part, and the place in it. An id is a hash, so ids spread evenly.
fn place(id: &SessionId) -> (usize, usize) {
    let [.., part, at] = *id.as_bytes();
    (usize::from(part) % PARTS, usize::from(at))
}

impl<T> fmt::Debug for Recent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_seen_last_is_remembered_until_its_place_is_taken() {
        let recent = Recent::default();
        let id = |first, last| {
            SessionId::from_uuid(Uuid::from_bytes([first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]))
        };
        let (one, same_place, other) = (id(1, 7), id(2, 7), id(1, 8));
        assert_eq!(recent.get(&one), None);
        recent.remember(&one, 1);
        recent.remember(&other, 2);
        assert_eq!([&one, &same_place, &other].map(|id| recent.get(id)), [Some(1), None, Some(2)]);
        recent.forget(&same_place);
        assert_eq!(recent.get(&one), Some(1));
        recent.remember(&same_place, 3);
        assert_eq!([&one, &same_place].map(|id| recent.get(id)), [None, Some(3)]);
        recent.forget(&same_place);
        assert_eq!(recent.get(&same_place), None);
    }
}
