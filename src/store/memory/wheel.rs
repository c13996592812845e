//! A hierarchical timing wheel: which sessions expire when.

use crate::store::links::Links;

/// Milliseconds of a tick. What is due within the present tick is looked at one by one.
const TICK_MILLIS: u64 = 1_000;

const BITS: u32 = 6;
const BUCKETS: u64 = 1 << BITS;

/// 64^7 seconds: beyond the year 9999, so that every expiry has its bucket.
const LEVELS: u32 = 7;

/// Expiries in buckets whose width grows with their distance: 64 of a second, 64 of 64 seconds, and so on.
///
/// Scheduling and cancelling are O(1). A session moves at most once per level towards its time, so a million sessions
/// with a day to live are touched by no sweep until their hour comes.
///
/// ```text
/// level 0   │ now │ +1 s │ …                       the level is the highest group of six bits
/// level 1        │ +64 s │ …                       in which the due tick differs from the present one
/// level 2                 │ +68 min │ …
/// ```
#[derive(Debug)]
pub(super) struct Wheel {
    links: Links,
    /// The tick up to which everything was taken out.
    now: u64,
    /// Per level, which buckets may hold something. A bit can be stale: then the bucket is found empty.
    occupied: [u64; LEVELS as usize],
}

impl Wheel {
    pub(super) fn new(now_millis: u64) -> Self {
        Self { links: Links::new(LEVELS << BITS), now: now_millis / TICK_MILLIS, occupied: [0; LEVELS as usize] }
    }

    /// Schedules a slot that is not scheduled.
    pub(super) fn schedule(&mut self, slot: u32, expires_millis: u64) {
        let tick = (expires_millis / TICK_MILLIS).max(self.now);
        let apart = tick ^ self.now;
        let level = if apart == 0 { 0 } else { (apart.ilog2() / BITS).min(LEVELS - 1) };
        let bucket = (tick >> (level * BITS)) % BUCKETS;
        self.occupied[level as usize] |= 1 << bucket;
        self.links.push(head(level, bucket), slot);
    }

    /// Cancels a slot; one that is not scheduled is fine.
    pub(super) fn cancel(&mut self, slot: u32) {
        self.links.unlink(slot);
    }

    /// Takes out what has expired at `now_millis`, into `due`. Stops after about `budget` steps with `false`: then call
    /// again.
    pub(super) fn advance(
        &mut self,
        now_millis: u64,
        budget: usize,
        expiry: impl Fn(u32) -> u64,
        due: &mut Vec<u32>,
    ) -> bool {
        // A clock that was set back: what we took out stays out, what is due is found when the clock has caught up.
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
            while let Some(slot) = self.links.first(head(level, bucket)) {
                if left == 0 {
                    return false;
                }
                left -= 1;
                self.links.unlink(slot);
                let expires = expiry(slot);
                // Not yet expired if it was moved while the clock stood before the wheel.
                if level == 0 && expires <= now_millis { due.push(slot) } else { self.schedule(slot, expires) }
            }
            self.occupied[level as usize] &= !(1 << bucket);
        }
        self.now = target;
        true
    }

    /// Looks at each that is due within the present tick.
    fn take_expired(&mut self, head: u32, now_millis: u64, expiry: &impl Fn(u32) -> u64, due: &mut Vec<u32>) {
        let mut next = self.links.first(head);
        while let Some(slot) = next {
            next = self.links.after(slot);
            if expiry(slot) <= now_millis {
                self.links.unlink(slot);
                due.push(slot);
            }
        }
    }

    /// The bucket to deal with next: one that the present tick lies in, from the widest, else the earliest.
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
        let holds = self.links.first(head(level, bucket)).is_some();
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
        /// Against a sorted map: whatever the jumps of the clock, what is taken out is what has expired.
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
