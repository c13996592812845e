//! Times as memcached counts them.

use std::time::{Duration, SystemTime};

use crate::clock;

/// The longest time that memcached takes as relative; above it a number is a date.
const LONGEST_RELATIVE: u64 = 30 * 24 * 3_600;

/// The latest date that memcached takes (19 January 2038): from the next second on, an item vanishes at once.
const LAST_DATE: u64 = 2_147_483_647;

/// How much later than the exact time memcached may tell that an item ends, if nobody touched it: up to two seconds
/// because times are rounded up and a second is added, up to one because its clock ticks once a second. Another machine's
/// clock may be off by a moment more, either way.
const LATE: Duration = Duration::from_millis(3_250);
const EARLY: Duration = Duration::from_millis(1_250);

/// The `T` for an item that shall live until then; never 0, which would be for ever. What is over is -1.
///
/// Memcached's second may have begun up to one second ago, so one is added: no item vanishes before its time. If a whole
/// number of seconds is left, it vanishes within the second after it.
///
/// Relative up to 30 days, so that the server's date does not matter; a date beyond, at most [`LAST_DATE`]. The date is
/// counted from the machine's clock, whatever clock the caller tells `now` by.
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
        // Dates are used up; thirty days at a time are what is left.
        LONGEST_RELATIVE
    } else {
        (date + left).min(LAST_DATE)
    };
    i64::try_from(time).unwrap_or(-1)
}

/// Whether an item that has this time left needs no touch to `exptime`.
pub(super) fn reaches(left: i64, exptime: i64) -> bool {
    left >= granted(exptime, date())
}

/// The `T` that gives an item the time back that it had left, if a touch to `exptime` has left it less.
pub(super) fn given_back(left: i64, exptime: i64) -> Option<i64> {
    given_back_at(left, exptime, date())
}

fn given_back_at(left: i64, exptime: i64, date: i64) -> Option<i64> {
    let before = if is_date(left) { date.saturating_add(left).min(LAST_DATE as i64) } else { left };
    (left > granted(exptime, date)).then_some(before)
}

/// The seconds that a touch to `exptime` leaves an item.
fn granted(exptime: i64, date: i64) -> i64 {
    if is_date(exptime) { exptime.saturating_sub(date) } else { exptime }
}

/// Whether memcached takes a time for a date.
fn is_date(time: i64) -> bool {
    u64::try_from(time).is_ok_and(|time| time > LONGEST_RELATIVE)
}

fn date() -> i64 {
    i64::try_from(clock::to_millis(SystemTime::now()) / 1_000).unwrap_or(i64::MAX)
}

/// What memcached will make of `until`: the same, unless it is beyond what it can count.
pub(super) fn reachable(now: SystemTime, until: SystemTime) -> SystemTime {
    let date = clock::to_millis(SystemTime::now()) / 1_000;
    let longest = LAST_DATE.saturating_sub(date).max(LONGEST_RELATIVE);
    until.min(clock::later(now, Duration::from_secs(longest)))
}

/// The sliding expiry of an item, of which memcached knows the whole seconds that are left, and the item itself the
/// exact time that was set when it was written.
///
/// They agree unless a touch has moved the former. The answer is the expiry, and by how much it was moved. After a touch
/// it is never earlier than what was set, and up to two seconds later.
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
    /// The time, moved by as much.
    pub(super) fn apply(self, time: SystemTime) -> SystemTime {
        match self {
            Self::None => time,
            Self::Later(by) => clock::later(time, by),
            Self::Earlier(by) => time.checked_sub(by).unwrap_or(std::time::UNIX_EPOCH),
        }
    }
}

/// A record's absolute limit in whole seconds since the Unix epoch, as an item's client flags hold it: a touch reads it
/// without reading the record. What has none in this century has [`u32::MAX`].
pub(super) fn limit_to_flags(limit: SystemTime) -> u32 {
    u32::try_from(clock::to_millis(limit).div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// The inverse of [`limit_to_flags`]; `None` if there is no limit in sight, or the item was not written by this store.
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

    /// `T0` would be for ever.
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
