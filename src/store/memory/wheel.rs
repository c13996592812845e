//! A hierarchical timing wheel for the expiry of sessions.

use crate::store::slot_rings::SlotRings;

/// The length of a tick in milliseconds. What is due within the current tick is checked one by one.
const TICK_MILLIS: u64 = 1_000;

const BITS: u32 = 6;
const BUCKETS: u64 = 1 << BITS;

/// 64^7 seconds reach beyond the year 9999, so every expiry has a bucket.
const LEVELS: u32 = 7;

/// Expiries, in buckets whose width grows with their distance: 64 buckets of a second, 64 of 64 seconds, and so on.
///
/// Scheduling and cancelling are O(1). A session moves at most once per level towards its time. So a million sessions
/// that expire in a day are not touched by any sweep until then.
///
/// ```text
/// level 0   │ now │ +1 s │ …                       the level is the highest group of six bits
/// level 1        │ +64 s │ …                       in which the due tick differs from the present one
/// level 2                 │ +68 min │ …
/// ```
#[derive(Debug)]
pub(super) struct Wheel {
    rings: SlotRings,
    /// The tick up to which everything due was taken out.
    now: u64,
    /// The buckets of each level that may be occupied. A bit can be stale: its bucket is then found to be empty.
    occupied: [u64; LEVELS as usize],
}

impl Wheel {
    pub(super) fn new(now_millis: u64) -> Self {
        Self { rings: SlotRings::new(LEVELS << BITS), now: now_millis / TICK_MILLIS, occupied: [0; LEVELS as usize] }
    }

    /// Schedules a slot that is not scheduled.
    pub(super) fn schedule(&mut self, slot: u32, expires_millis: u64) {
        let tick = (expires_millis / TICK_MILLIS).max(self.now);
        let apart = tick ^ self.now;
        let level = if apart == 0 { 0 } else { (apart.ilog2() / BITS).min(LEVELS - 1) };
        let bucket = (tick >> (level * BITS)) % BUCKETS;
        self.occupied[level as usize] |= 1 << bucket;
        self.rings.push(head(level, bucket), slot);
    }

    /// Cancels a slot. Does nothing if it is not scheduled.
    pub(super) fn cancel(&mut self, slot: u32) {
        self.rings.unlink(slot);
    }

    /// Moves the slots that have expired at `now_millis` into `due`. Returns `false` if it has stopped after about
    /// `budget` steps: then call again.
    pub(super) fn advance(
        &mut self,
        now_millis: u64,
        budget: usize,
        expiry: impl Fn(u32) -> u64,
        due: &mut Vec<u32>,
    ) -> bool {
        // If the clock was set back, what was taken out stays out, and what is due is found once the clock has caught
        // up.
        let target = (now_millis / TICK_MILLIS).max(self.now);
        let mut left = budget;
        while let Some((level, bucket)) = self.next() {
            let shift = level * BITS;
            let begins = ((self.now >> shift) & !(BUCKETS - 1) | bucket) << shift;
            if begins > target {
                break;
            }
            self.now = self.now.max(begins);
            if level == 0 && begins == target {
                self.take_expired(head(level, bucket), now_millis, &expiry, due);
                return true;
            }
            while let Some(slot) = self.rings.first(head(level, bucket)) {
                if left == 0 {
                    return false;
                }
                left -= 1;
                self.rings.unlink(slot);
                let expires = expiry(slot);
                // A slot here may not have expired yet, if it was scheduled while the clock was behind the wheel.
                if level == 0 && expires <= now_millis { due.push(slot) } else { self.schedule(slot, expires) }
            }
            self.occupied[level as usize] &= !(1 << bucket);
        }
        self.now = target;
        true
    }

    /// Takes out the expired slots of the current tick.
    fn take_expired(&mut self, head: u32, now_millis: u64, expiry: &impl Fn(u32) -> u64, due: &mut Vec<u32>) {
        let mut next = self.rings.first(head);
        while let Some(slot) = next {
            next = self.rings.after(slot);
            if expiry(slot) <= now_millis {
                self.rings.unlink(slot);
                due.push(slot);
            }
        }
    }

    /// Returns the next bucket to handle: a bucket of the current tick, the widest first, or else the earliest one
    /// ahead.
    fn next(&mut self) -> Option<(u32, u64)> {
        for level in (1..LEVELS).rev() {
            let present = (self.now >> (level * BITS)) % BUCKETS;
            if self.holds(level, present) {
                return Some((level, present));
            }
        }
        for level in 0..LEVELS {
            let present = (self.now >> (level * BITS)) % BUCKETS;
            let mut ahead = self.occupied[level as usize] & (u64::MAX << present);
            while ahead != 0 {
                let bucket = u64::from(ahead.trailing_zeros());
                if self.holds(level, bucket) {
                    return Some((level, bucket));
                }
                ahead &= ahead - 1;
            }
        }
        None
    }

    fn holds(&mut self, level: u32, bucket: u64) -> bool {
        if self.occupied[level as usize] & (1 << bucket) == 0 {
            return false;
        }
        let holds = self.rings.first(head(level, bucket)).is_some();
        if !holds {
            self.occupied[level as usize] &= !(1 << bucket);
        }
        holds
    }
}

fn head(level: u32, bucket: u64) -> u32 {
    // A bucket is below 64.
    (level << BITS) | bucket as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400_000;

    fn advance(wheel: &mut Wheel, expiries: &BTreeMap<u32, u64>, now: u64, budget: usize) -> (Vec<u32>, usize) {
        let (mut due, mut calls) = (Vec::new(), 1);
        while !wheel.advance(now, budget, |slot| expiries[&slot], &mut due) {
            calls += 1;
        }
        due.sort_unstable();
        (due, calls)
    }

    #[test]
    fn what_waits_is_not_looked_at() {
        let now = 1_800_000_000_000;
        let mut wheel = Wheel::new(now);
        (0..10_000).for_each(|slot| wheel.schedule(slot, now + DAY + u64::from(slot)));
        let mut due = Vec::new();
        for minute in 1..60 {
            let looked_at = std::cell::Cell::new(0);
            let expiry = |slot: u32| {
                looked_at.set(looked_at.get() + 1);
                now + DAY + u64::from(slot)
            };
            assert!(wheel.advance(now + minute * 60_000, usize::MAX, expiry, &mut due));
            assert_eq!((looked_at.get(), due.len()), (0, 0), "in minute {minute}");
        }
    }

    proptest! {
        /// Compared with a sorted map: whatever the jumps of the clock, exactly the expired slots are taken out.
        #[test]
        fn takes_out_what_has_expired(
            steps in proptest::collection::vec(
                (0u32..40, prop_oneof![0u64..5_000, 0u64..200_000, 0u64..DAY, 0u64..4_000 * DAY], 0u8..4, 1usize..6),
                1..200,
            ),
        ) {
            let mut now = 1_800_000_000_000;
            let mut wheel = Wheel::new(now);
            let mut expiries = BTreeMap::new();
            for (slot, by, action, budget) in steps {
                match action {
                    0 | 1 => {
                        wheel.cancel(slot);
                        expiries.insert(slot, now + by);
                        wheel.schedule(slot, now + by);
                    }
                    2 => {
                        wheel.cancel(slot);
                        expiries.remove(&slot);
                    }
                    _ => {
                        now += by;
                        let (due, _) = advance(&mut wheel, &expiries, now, budget);
                        let expected: Vec<_> =
                            expiries.iter().filter(|&(_, &at)| at <= now).map(|(&slot, _)| slot).collect();
                        prop_assert_eq!(&due, &expected);
                        expiries.retain(|_, at| *at > now);
                    }
                }
            }
        }
    }
}
