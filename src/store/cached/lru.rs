//! A bounded map that forgets what was used longest ago.
//!
//! A slab of nodes, linked by index in the order of use, and an index from id to node. Nothing here needs `unsafe`, and a
//! hit allocates nothing.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::id::SessionId;

/// Ids are cut from SHA-256, so eight of their bytes are as good a hash as any. Nobody can choose ids to collide here:
/// only a session that exists is cached, and its token was drawn by the server.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((head, _)) = bytes.split_first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    /// The length that is hashed before the bytes tells nothing: it is always 16.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(super) type IdMap<T> = HashMap<SessionId, T, BuildHasherDefault<IdHasher>>;

const NONE: u32 = u32::MAX;

pub(super) struct Lru<T> {
    index: IdMap<u32>,
    nodes: Vec<Node<T>>,
    /// The first of the unused nodes, linked by `next`.
    free: u32,
    newest: u32,
    oldest: u32,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

struct Node<T> {
    id: SessionId,
    /// `None` in an unused node.
    value: Option<T>,
    bytes: usize,
    newer: u32,
    older: u32,
}

impl<T> Lru<T> {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let max_entries = max_entries.min(NONE as usize);
        Self {
            index: IdMap::default(),
            nodes: Vec::new(),
            free: NONE,
            newest: NONE,
            oldest: NONE,
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value, now the one used last.
    pub(super) fn get(&mut self, id: &SessionId) -> Option<&mut T> {
        let at = *self.index.get(id)?;
        if at != self.newest {
            self.unlink(at);
            self.link_newest(at);
        }
        self.node(at).value.as_mut()
    }

    /// The value, without a use.
    pub(super) fn peek(&mut self, id: &SessionId) -> Option<&mut T> {
        let at = *self.index.get(id)?;
        self.node(at).value.as_mut()
    }

    /// Puts a value of this size in place of what is there. Returns how many others were forgotten for it; it is not
    /// kept itself if it is larger than the whole map may be.
    pub(super) fn insert(&mut self, id: SessionId, value: T, bytes: usize) -> u64 {
        self.remove(&id);
        if bytes > self.max_bytes || self.max_entries == 0 {
            return 0;
        }
        let mut evicted = 0;
        while self.index.len() >= self.max_entries || self.bytes + bytes > self.max_bytes {
            let oldest = self.nodes[self.oldest as usize].id;
            self.remove(&oldest);
            evicted += 1;
        }
        let node = Node { id, value: Some(value), bytes, newer: NONE, older: NONE };
        let at = if self.free == NONE {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("at most u32::MAX entries, see new")
        } else {
            let at = self.free;
            self.free = self.node(at).older;
            *self.node(at) = node;
            at
        };
        self.index.insert(id, at);
        self.bytes += bytes;
        self.link_newest(at);
        evicted
    }

    pub(super) fn remove(&mut self, id: &SessionId) -> Option<T> {
        let at = self.index.remove(id)?;
        self.unlink(at);
        let free = std::mem::replace(&mut self.free, at);
        let node = self.node(at);
        node.older = free;
        let (value, bytes) = (node.value.take(), node.bytes);
        self.bytes -= bytes;
        value
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_entries, self.max_bytes);
    }

    fn node(&mut self, at: u32) -> &mut Node<T> {
        &mut self.nodes[at as usize]
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.node(at).newer, self.node(at).older);
        match newer {
            NONE => self.newest = older,
            newer => self.node(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node(older).newer = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        let node = self.node(at);
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = at,
            before => self.node(before).newer = at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> SessionId {
        SessionId::of_owner(&number.to_string())
    }

    /// The same in the plainest form: a list, the newest last.
    #[derive(Default)]
    struct Model(Vec<(u8, u16, usize)>);

    #[derive(Debug, Clone)]
    enum Step {
        Get(u8),
        Peek(u8),
        Insert(u8, u16, usize),
        Remove(u8),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..12u8).prop_map(Step::Get),
            1 => (0..12u8).prop_map(Step::Peek),
            6 => (0..12u8, any::<u16>(), 1..60usize).prop_map(|(key, value, bytes)| Step::Insert(key, value, bytes)),
            2 => (0..12u8).prop_map(Step::Remove),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..200)
    }

    const MAX_ENTRIES: usize = 6;
    const MAX_BYTES: usize = 100;

    impl Model {
        fn take(&mut self, key: u8) -> Option<(u8, u16, usize)> {
            let at = self.0.iter().position(|entry| entry.0 == key)?;
            Some(self.0.remove(at))
        }

        fn bytes(&self) -> usize {
            self.0.iter().map(|entry| entry.2).sum()
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(steps in steps()) {
            let (mut lru, mut model) = (Lru::new(MAX_ENTRIES, MAX_BYTES), Model::default());
            for step in steps {
                match step {
                    Step::Get(key) => {
                        let expected = model.take(key);
                        model.0.extend(expected);
                        prop_assert_eq!(lru.get(&id(key)).copied(), expected.map(|entry| entry.1));
                    }
                    Step::Peek(key) => {
                        let expected = model.0.iter().find(|entry| entry.0 == key).map(|entry| entry.1);
                        prop_assert_eq!(lru.peek(&id(key)).copied(), expected);
                    }
                    Step::Insert(key, value, bytes) => {
                        model.take(key);
                        let mut evicted = 0;
                        while model.0.len() >= MAX_ENTRIES || model.bytes() + bytes > MAX_BYTES {
                            model.0.remove(0);
                            evicted += 1;
                        }
                        model.0.push((key, value, bytes));
                        prop_assert_eq!(lru.insert(id(key), value, bytes), evicted);
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(lru.remove(&id(key)), model.take(key).map(|entry| entry.1));
                    }
                    Step::Clear => {
                        model.0.clear();
                        lru.clear();
                    }
                }
                prop_assert_eq!(lru.len(), model.0.len());
                prop_assert_eq!(lru.bytes(), model.bytes());
                prop_assert!(lru.nodes.len() <= MAX_ENTRIES);
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_drives_nothing_out() {
        let mut lru = Lru::new(MAX_ENTRIES, MAX_BYTES);
        lru.insert(id(1), 1, 90);
        assert_eq!(lru.insert(id(2), 2, MAX_BYTES + 1), 0);
        assert_eq!((lru.get(&id(1)).copied(), lru.get(&id(2)).copied()), (Some(1), None));
        lru.insert(id(1), 3, MAX_BYTES + 1);
        assert_eq!(lru.get(&id(1)), None, "the old value must not stay in place of the new one");
    }
}
