//! Doubly linked rings over slot numbers: orders of use, free slots and the timing wheel.

/// Rings of slots. Each ring has a head. A slot is in at most one ring, and can leave it without the caller knowing
/// which.
///
/// The links are kept apart from the slots, at eight bytes per slot. Moving a session to the end of its ring writes to
/// the links of two neighbours, and these are far more likely to be in the processor's cache than the neighbours
/// themselves.
///
/// ```text
/// ends: │ head 0 │ head 1 │ … │ slot 0 │ slot 1 │ …      each: (before, after)
/// ```
#[derive(Debug)]
pub(super) struct SlotRings {
    ends: Vec<(u32, u32)>,
    heads: u32,
}

impl SlotRings {
    /// Creates empty rings with the heads `0..heads`.
    pub(super) fn new(heads: u32) -> Self {
        Self { ends: (0..heads).map(|head| (head, head)).collect(), heads }
    }

    /// Appends a slot, which must be in no ring, to a ring.
    pub(super) fn push(&mut self, head: u32, slot: u32) {
        let node = slot + self.heads;
        while self.ends.len() <= at(node) {
            let alone = number(self.ends.len());
            self.ends.push((alone, alone));
        }
        let last = self.ends[at(head)].0;
        self.ends[at(node)] = (last, head);
        self.ends[at(last)].1 = node;
        self.ends[at(head)].0 = node;
    }

    /// Takes a slot out of its ring. Does nothing if it is in none.
    pub(super) fn unlink(&mut self, slot: u32) {
        let node = slot + self.heads;
        let Some(&(before, after)) = self.ends.get(at(node)) else { return };
        self.ends[at(before)].1 = after;
        self.ends[at(after)].0 = before;
        self.ends[at(node)] = (node, node);
    }

    /// The first slot of a ring: the one that was pushed longest ago.
    pub(super) fn first(&self, head: u32) -> Option<u32> {
        self.slot(self.ends[at(head)].1)
    }

    /// The last slot of a ring: the one that was pushed most recently.
    pub(super) fn last(&self, head: u32) -> Option<u32> {
        self.slot(self.ends[at(head)].0)
    }

    /// The slot after this one in its ring.
    #[cfg(any(feature = "memory", test))]
    pub(super) fn after(&self, slot: u32) -> Option<u32> {
        self.slot(self.ends[at(slot + self.heads)].1)
    }

    fn slot(&self, node: u32) -> Option<u32> {
        node.checked_sub(self.heads)
    }
}

fn at(node: u32) -> usize {
    node as usize
}

/// Slots are numbered by `u32`; the users of the rings see to it that there are no more.
fn number(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 slots and heads")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(rings: &SlotRings, head: u32) -> Vec<u32> {
        let mut slots: Vec<_> = rings.first(head).into_iter().collect();
        while let Some(next) = slots.last().and_then(|&last| rings.after(last)) {
            slots.push(next);
        }
        slots
    }

    #[test]
    fn slots_move_between_rings() {
        let mut rings = SlotRings::new(2);
        for slot in [0, 3, 1] {
            rings.push(0, slot);
        }
        rings.push(1, 2);
        assert_eq!((ring(&rings, 0), ring(&rings, 1)), (vec![0, 3, 1], vec![2]));
        assert_eq!((rings.last(0), rings.last(1)), (Some(1), Some(2)));
        rings.unlink(3);
        rings.push(1, 3);
        rings.unlink(9);
        assert_eq!((ring(&rings, 0), ring(&rings, 1)), (vec![0, 1], vec![2, 3]));
        for slot in [0, 1, 1] {
            rings.unlink(slot);
        }
        assert_eq!((rings.first(0), rings.last(0)), (None, None));
    }
}
