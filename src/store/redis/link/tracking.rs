//! Which keys may have changed since they were read, as reported by servers: RESP3 client-side caching.
//!
//! A server remembers which keys a connection has read, by plain commands or in scripts. When a key is written, expires
//! or is evicted, the server sends its name. On one connection, this message comes before the answers to all requests
//! that the server carries out after the change. So as long as answers arrive, and no message does, the value that was
//! read is the stored one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redis::Value;

use super::counters::Counters;

/// The number of counters. Keys share them: one in 65,536 writes of other keys makes a key look changed.
const COUNTERS: usize = 1 << 16;

/// Counts changes of keys.
pub(super) struct Tracking {
    changes: Box<[AtomicU64]>,
    /// Changes that concern all keys.
    of_all: AtomicU64,
    statistics: Arc<Counters>,
}

/// How often two keys had changed before they were read.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Mark {
    places: [u16; 2],
    counts: Counts,
}

/// The counters of two keys, and of changes that concern all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    keys: [u64; 2],
    all: u64,
}

impl Mark {
    /// The mark after two changes of the first key.
    pub(super) fn after_own_change(self) -> Self {
        let [first, second] = self.places;
        let mut counts = self.counts;
        counts.keys[0] = counts.keys[0].wrapping_add(2);
        if first == second {
            counts.keys[1] = counts.keys[0];
        }
        Self { counts, ..self }
    }
}

impl Tracking {
    pub(super) fn new(statistics: Arc<Counters>) -> Self {
        let changes = std::iter::repeat_with(AtomicU64::default).take(COUNTERS).collect();
        Self { changes, of_all: AtomicU64::new(0), statistics }
    }

    /// Marks the state of two keys. Call this before sending the request that reads them.
    pub(super) fn mark(&self, keys: [&[u8]; 2]) -> Mark {
        let places = keys.map(place);
        Mark { places, counts: self.counts(places) }
    }

    /// Returns whether no change of the marked keys has been noted since.
    pub(super) fn is_unchanged(&self, mark: Mark) -> bool {
        self.counts(mark.places) == mark.counts
    }

    fn counts(&self, places: [u16; 2]) -> Counts {
        let keys = places.map(|place| self.changes[usize::from(place)].load(Ordering::Acquire));
        Counts { keys, all: self.of_all.load(Ordering::Acquire) }
    }

    /// Notes that a key may have changed.
    pub(super) fn changed(&self, key: &[u8]) {
        self.changes[usize::from(place(key))].fetch_add(1, Ordering::AcqRel);
    }

    fn all_changed(&self) {
        self.of_all.fetch_add(1, Ordering::AcqRel);
    }

    /// Reads a message about changes: a list of keys, or nil for all keys.
    pub(super) fn read_push(&self, data: &[Value]) {
        self.statistics.invalidations.count();
        for part in data {
            let keys = match part {
                Value::Array(keys) | Value::Set(keys) => keys,
                _ => return self.all_changed(),
            };
            for key in keys {
                match key {
                    Value::BulkString(key) => self.changed(key),
                    Value::SimpleString(key) => self.changed(key.as_bytes()),
                    _ => self.all_changed(),
                }
            }
        }
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking").finish_non_exhaustive()
    }
}

/// A key's counter, by FNV-1a, folded. Only someone who can write keys to the server could choose colliding ones.
fn place(key: &[u8]) -> u16 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    u16::from_le_bytes([a ^ c ^ e ^ g, b ^ d ^ f ^ h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_key_that_is_named_has_changed_and_others_have_not() {
        let tracking = Tracking::new(Arc::default());
        let (ours, other) = (tracking.mark([b"a", b"g"]), tracking.mark([b"b", b"h"]));
        assert!(tracking.is_unchanged(ours));
        tracking.read_push(&[Value::Array(vec![bulk("x"), bulk("a")])]);
        assert!(!tracking.is_unchanged(ours) && tracking.is_unchanged(other));
        assert!(tracking.is_unchanged(tracking.mark([b"a", b"g"])), "what is read afterwards");
        let again = tracking.mark([b"a", b"g"]);
        tracking.read_push(&[Value::Array(vec![bulk("g")])]);
        assert!(!tracking.is_unchanged(again) && tracking.is_unchanged(other), "by the second key");
    }

    #[test]
    fn the_mark_of_an_own_change_counts_two_changes_of_the_first_key() {
        for keys in [[b"a", b"g"], [b"a", b"a"]] {
            let tracking = Tracking::new(Arc::default());
            let own = tracking.mark(keys.map(|key| &key[..])).after_own_change();
            let message = || tracking.read_push(&[Value::Array(vec![bulk("a")])]);
            assert!(!tracking.is_unchanged(own));
            message();
            assert!(!tracking.is_unchanged(own));
            tracking.changed(b"a");
            assert!(tracking.is_unchanged(own));
            if keys == [b"a", b"g"] {
                let other = tracking.mark([b"a", b"g"]).after_own_change();
                tracking.changed(b"a");
                tracking.changed(b"g");
                assert!(!tracking.is_unchanged(other), "the other key's change stands for none of them");
                continue;
            }
            message();
            assert!(!tracking.is_unchanged(own), "another change");
        }
    }

    #[test]
    fn nil_and_what_is_not_understood_change_every_key() {
        for data in [Value::Nil, Value::Int(1), Value::Array(vec![Value::Nil])] {
            let tracking = Tracking::new(Arc::default());
            let mark = tracking.mark([b"a", b"b"]);
            tracking.read_push(&[data]);
            assert!(!tracking.is_unchanged(mark));
        }
    }

    #[test]
    fn keys_spread_over_the_counters() {
        let used: std::collections::BTreeSet<_> =
            (0..1_000).map(|n| place(format!("session:{{24a}}:{n:032x}").as_bytes())).collect();
        assert!(used.len() > 950, "{}", used.len());
    }
}
