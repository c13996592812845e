//! Conversions between exact times and memcached's.

use std::time::{Duration, SystemTime};

use crate::clock;

/// The longest relative time, in seconds. Memcached reads a larger number as a date.
const LONGEST_RELATIVE: u64 = 30 * 24 * 3_600;

/// The latest date that memcached accepts (19 January 2038), in seconds since the Unix epoch. An item with a later date
/// vanishes at once.
const LAST_DATE: u64 = 2_147_483_647;

/// How much later than the exact expiry memcached's may appear if the item was not touched. Rounding up and the added
/// second account for up to two seconds. Memcached's clock, which ticks once a second, accounts for up to one more.
/// Another machine's clock may add a moment, in either direction.
const LATE: Duration = Duration::from_millis(3_250);
/// How much earlier it may appear.
const EARLY: Duration = Duration::from_millis(1_250);

/// Returns the `T` of an item that is to expire at `until`, or -1 if that has passed. It is never 0, which would mean
/// no expiry.
///
/// Memcached's clock ticks once a second, and its last tick may be up to a second ago. A second is therefore added, so
/// that no item vanishes before its time. If a whole number of seconds is left, the item vanishes within the second
/// after it.
///
/// Times of up to 30 days are relative, so the server's date does not matter. Longer times are dates, at most
/// [`LAST_DATE`]. Dates are counted from this machine's clock, even if `now` is from another one.
pub(super) fn exptime(now: SystemTime, until: SystemTime) -> i64 {
    exptime_at(now, until, clock::to_millis(SystemTime::now()) / 1_000)
}

fn exptime_at(now: SystemTime, until: SystemTime, date: u64) -> i64 {
    let left = clock::to_millis(until).saturating_sub(clock::to_millis(now)).div_ceil(1_000);
    if left == 0 {
        return -1;
    }
    let left = left + 1;
    let time = if left <= LONGEST_RELATIVE {
        left
    } else if LAST_DATE.saturating_sub(date) <= LONGEST_RELATIVE {
        // The last date is at most 30 days away, so the longest relative time reaches further.
        LONGEST_RELATIVE
    } else {
        (date + left).min(LAST_DATE)
    };
    i64::try_from(time).unwrap_or(-1)
}

/// Whether an item with this time left needs no touch to `exptime`.
pub(super) fn reaches(left: i64, exptime: i64) -> bool {
    left >= granted(exptime, date())
}

/// Returns the `T` that restores the time that an item had left, if a touch to `exptime` has shortened it.
pub(super) fn given_back(left: i64, exptime: i64) -> Option<i64> {
    given_back_at(left, exptime, date())
}

fn given_back_at(left: i64, exptime: i64, date: i64) -> Option<i64> {
    let before = if is_date(left) { date.saturating_add(left).min(LAST_DATE as i64) } else { left };
    (left > granted(exptime, date)).then_some(before)
}

/// Returns the seconds that an item has left after a touch to `exptime`.
fn granted(exptime: i64, date: i64) -> i64 {
    if is_date(exptime) { exptime.saturating_sub(date) } else { exptime }
}

/// Whether memcached reads a time as a date.
fn is_date(time: i64) -> bool {
    u64::try_from(time).is_ok_and(|time| time > LONGEST_RELATIVE)
}

fn date() -> i64 {
    i64::try_from(clock::to_millis(SystemTime::now()) / 1_000).unwrap_or(i64::MAX)
}

/// Caps `until` at the latest time that memcached can count.
pub(super) fn reachable(now: SystemTime, until: SystemTime) -> SystemTime {
    let date = clock::to_millis(SystemTime::now()) / 1_000;
    let longest = LAST_DATE.saturating_sub(date).max(LONGEST_RELATIVE);
    until.min(clock::later(now, Duration::from_secs(longest)))
}

/// Returns the sliding expiry of an item, and how far a touch has moved it.
///
/// Memcached reports the whole seconds that are left. The item itself contains the exact expiry that was set when it
/// was written. The two agree unless a touch has moved memcached's. If it was moved by more than [`LATE`], the returned
/// expiry is never earlier than the touch has set it, and up to three seconds later. A smaller move may not be noticed.
pub(super) fn moved(now: SystemTime, written: SystemTime, seconds_left: Option<i64>) -> (SystemTime, Shift) {
    let Some(left) = seconds_left.and_then(|left| u64::try_from(left).ok()) else { return (written, Shift::None) };
    let told = clock::later(now, Duration::from_secs(left));
    match told.duration_since(written) {
        Ok(later) if later > LATE => (told, Shift::Later(later)),
        Err(earlier) if earlier.duration() > EARLY => (told, Shift::Earlier(earlier.duration())),
        _ => (written, Shift::None),
    }
}

/// How far a touch has moved an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    None,
    Later(Duration),
    Earlier(Duration),
}

impl Shift {
    /// Moves a time by the same amount.
    pub(super) fn apply(self, time: SystemTime) -> SystemTime {
        match self {
            Self::None => time,
            Self::Later(by) => clock::later(time, by),
            Self::Earlier(by) => time.checked_sub(by).unwrap_or(std::time::UNIX_EPOCH),
        }
    }
}

/// Encodes a record's absolute limit for the item's client flags, in whole seconds since the Unix epoch. A touch can
/// then read the limit without the record. If there is none, or it is after 2106, the result is [`u32::MAX`].
pub(super) fn limit_to_flags(limit: SystemTime) -> u32 {
    u32::try_from(clock::to_millis(limit).div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// The inverse of [`limit_to_flags`]. Returns `None` if there is no limit before 2106, or if the item was not written
/// by this store.
pub(super) fn limit_from_flags(flags: u32) -> Option<SystemTime> {
    (flags != u32::MAX && flags != 0).then(|| clock::from_millis(u64::from(flags) * 1_000))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DATE: u64 = 1_800_000_000;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(DATE * 1_000 + millis)
    }

    #[test]
    fn up_to_thirty_days_is_relative_and_beyond_is_a_date() {
        let month = LONGEST_RELATIVE * 1_000;
        for (left, expected) in [
            (1, 2),
            (1_000, 2),
            (1_001, 3),
            (60_000, 61),
            (month - 1_000, 2_592_000),
            (month, 1_802_592_001),
            (10 * month, 1_825_920_001),
            (100 * month, 2_059_200_001),
            (1_000 * month, 2_147_483_647),
        ] {
            assert_eq!(exptime_at(at(0), at(left), DATE), expected, "{left} ms");
        }
    }

    #[test]
    fn a_touch_gives_back_the_time_that_it_has_taken() {
        let date = DATE as i64;
        let month = LONGEST_RELATIVE as i64;
        for (left, exptime, expected) in [
            (61, 61, None),
            (61, 62, None),
            (62, 61, Some(62)),
            (62, -1, Some(62)),
            (-1, 61, None),
            (month, 61, Some(month)),
            (month + 1, 61, Some(date + month + 1)),
            (month + 1, date + month + 1, None),
            (month + 2, date + month + 1, Some(date + month + 2)),
            (61, date + month + 1, None),
        ] {
            assert_eq!(given_back_at(left, exptime, date), expected, "{left} left, touched to {exptime}");
        }
    }

    #[test]
    fn an_item_that_has_the_time_left_needs_no_touch() {
        let date = DATE as i64;
        let month = LONGEST_RELATIVE as i64;
        for (left, exptime, expected) in [
            (60, 61, false),
            (61, 61, true),
            (62, 61, true),
            (-1, 61, false),
            (month, date + month + 1, false),
            (month + 1, date + month + 1, true),
            (month + 1, month, true),
        ] {
            assert_eq!(left >= granted(exptime, date), expected, "{left} left, asked for {exptime}");
        }
        assert!(reaches(61, 61) && !reaches(60, 61));
    }

    /// `T0` would mean no expiry.
    #[test]
    fn what_is_over_is_never_zero() {
        assert_eq!(exptime_at(at(5), at(5), DATE), -1);
        assert_eq!(exptime_at(at(5), at(4), DATE), -1);
    }

    #[test]
    fn after_2038_thirty_days_are_the_longest() {
        for date in [LAST_DATE - LONGEST_RELATIVE, LAST_DATE, LAST_DATE + 1, LAST_DATE * 2] {
            assert_eq!(exptime_at(at(0), at(LONGEST_RELATIVE * 5_000), date), 2_592_000);
            assert_eq!(exptime_at(at(0), at(5_000), date), 6);
        }
    }

    #[test]
    fn a_touch_is_told_from_rounding() {
        let written = at(10_000);
        assert_eq!(moved(at(0), written, Some(13)), (written, Shift::None));
        assert_eq!(moved(at(500), written, Some(9)), (written, Shift::None));
        assert_eq!(moved(at(0), written, None), (written, Shift::None));
        assert_eq!(moved(at(0), written, Some(-1)), (written, Shift::None));
        let (until, shift) = moved(at(0), written, Some(20));
        assert_eq!((until, shift.apply(at(1_000))), (at(20_000), at(11_000)));
        let (until, shift) = moved(at(0), written, Some(5));
        assert_eq!((until, shift.apply(at(7_000))), (at(5_000), at(2_000)));
    }

    #[test]
    fn limits_round_up_and_end_in_2106() {
        assert_eq!(limit_to_flags(at(1)), 1_800_000_001);
        assert_eq!(limit_from_flags(1_800_000_001), Some(at(1_000)));
        assert_eq!(limit_from_flags(limit_to_flags(clock::from_millis(u64::MAX))), None);
        assert_eq!(limit_from_flags(0), None);
    }
}
