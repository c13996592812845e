//! Sessions that this process has seen, and whose they are.

use std::sync::{Mutex, PoisonError};

use crate::id::SessionId;

/// How many sessions are remembered, in parts with a lock each.
const PARTS: usize = 64;
const IN_PART: usize = 256;

/// Remembers the owners of sessions, so that a load can ask for the owner's epoch together with the session by plain
/// commands. A script, which finds the owner itself, takes a server many times as long.
///
/// What is remembered may be wrong: whoever uses it compares it to the session.
#[derive(Debug)]
pub(super) struct Seen([Mutex<Vec<Option<Known>>>; PARTS]);

#[derive(Debug, Clone, Copy)]
struct Known {
    id: SessionId,
    owner: Option<SessionId>,
}

impl Default for Seen {
    fn default() -> Self {
        Self([const { Mutex::new(Vec::new()) }; PARTS])
    }
}

impl Seen {
    /// The owner's id, or none, if the session is known.
    pub(super) fn owner(&self, id: &SessionId) -> Option<Option<SessionId>> {
        let (part, at) = place(id);
        let part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        part.get(at).copied().flatten().filter(|known| known.id == *id).map(|known| known.owner)
    }

    /// Remembers a session in the place of an earlier one.
    pub(super) fn remember(&self, id: &SessionId, owner: Option<SessionId>) {
        let (part, at) = place(id);
        let mut part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        if part.is_empty() {
            part.resize(IN_PART, None);
        }
        part[at] = Some(Known { id: *id, owner });
    }

    pub(super) fn forget(&self, id: &SessionId) {
        let (part, at) = place(id);
        let mut part = self.0[part].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = part.get_mut(at) {
            known.take_if(|known| known.id == *id);
        }
    }
}

/// Part and place in it. An id is a hash, so they spread evenly.
fn place(id: &SessionId) -> (usize, usize) {
    let [.., part, at] = *id.as_bytes();
    (usize::from(part) % PARTS, usize::from(at))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_seen_last_is_remembered_until_its_place_is_taken() {
        let seen = Seen::default();
        let id = |first, last| {
            SessionId::from_uuid(Uuid::from_bytes([first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]))
        };
        let (one, same_place, other) = (id(1, 7), id(2, 7), id(1, 8));
        assert_eq!(seen.owner(&one), None);
        seen.remember(&one, None);
        seen.remember(&other, Some(one));
        assert_eq!(
            [seen.owner(&one), seen.owner(&same_place), seen.owner(&other)],
            [Some(None), None, Some(Some(one))]
        );
        seen.forget(&same_place);
        assert_eq!(seen.owner(&one), Some(None));
        seen.remember(&same_place, Some(other));
        assert_eq!([seen.owner(&one), seen.owner(&same_place)], [None, Some(Some(other))]);
        seen.forget(&same_place);
        assert_eq!(seen.owner(&same_place), None);
    }
}
