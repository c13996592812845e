//! A bounded map that evicts the least recently used entry.
//!
//! It consists of a slab of nodes, rings of their numbers (the order of use, and the free nodes), and an index from id
//! to node. It needs no `unsafe`, and a hit allocates nothing.

use std::collections::HashMap;

use crate::{
    id::SessionId,
    store::{id_hash::IdHash, slot_rings::SlotRings},
};

pub(super) type IdMap<T> = HashMap<SessionId, T, IdHash>;

/// The rings: nodes in their order of use, and free nodes.
const USED: u32 = 0;
const FREE: u32 = 1;
const RINGS: u32 = 2;

/// The most nodes. More could not be numbered, since the heads of the rings take numbers, too.
const MOST_NODES: usize = (u32::MAX - RINGS) as usize;

pub(super) struct Lru<T> {
    index: IdMap<u32>,
    nodes: Vec<Node<T>>,
    rings: SlotRings,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

struct Node<T> {
    id: SessionId,
    /// `None` in a free node.
    value: Option<T>,
    bytes: usize,
}

impl<T> Lru<T> {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            index: IdMap::default(),
            nodes: Vec::new(),
            rings: SlotRings::new(RINGS),
            bytes: 0,
            max_entries: max_entries.min(MOST_NODES),
            max_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the value, and makes it the most recently used.
    pub(super) fn get(&mut self, id: &SessionId) -> Option<&mut T> {
        let at = *self.index.get(id)?;
        if self.rings.last(USED) != Some(at) {
            self.rings.unlink(at);
            self.rings.push(USED, at);
        }
        self.node(at).value.as_mut()
    }

    /// Returns the value, without counting as a use.
    pub(super) fn peek(&mut self, id: &SessionId) -> Option<&mut T> {
        let at = *self.index.get(id)?;
        self.node(at).value.as_mut()
    }

    /// Inserts a value of this size, replacing the one under this id. Returns how many other values were evicted for
    /// it. If it is larger than the map's limit, it is not kept.
    pub(super) fn insert(&mut self, id: SessionId, value: T, bytes: usize) -> u64 {
        self.remove(&id);
        if bytes > self.max_bytes || self.max_entries == 0 {
            return 0;
        }
        let mut evicted = 0;
        while (self.index.len() >= self.max_entries || self.bytes + bytes > self.max_bytes)
            && let Some(oldest) = self.rings.first(USED)
        {
            let oldest = self.node(oldest).id;
            self.remove(&oldest);
            evicted += 1;
        }
        let node = Node { id, value: Some(value), bytes };
        let at = if let Some(at) = self.rings.first(FREE) {
            self.rings.unlink(at);
            *self.node(at) = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("at most MOST_NODES, see new")
        };
        self.index.insert(id, at);
        self.bytes += bytes;
        self.rings.push(USED, at);
        evicted
    }

    pub(super) fn remove(&mut self, id: &SessionId) -> Option<T> {
        let at = self.index.remove(id)?;
        self.rings.unlink(at);
        self.rings.push(FREE, at);
        let node = self.node(at);
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> SessionId {
        SessionId::for_epoch(&number.to_string())
    }

    /// The same map as a plain list, the most recently used last.
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
