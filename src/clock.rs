//! The source of time: the system's clock, or a clock that tests move.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The latest time that this crate stores: the end of the year 9999, in milliseconds since the Unix epoch.
///
/// RFC 3339 can't represent later dates. Sums are capped at this value.
pub(crate) const LAST_MILLIS: u64 = 253_402_300_799_999;

/// The source of time for the layer and the stores.
///
/// The default is the system's clock. [`Clock::manual`] creates a clock that stands still until it is moved, so that
/// tests of expiry don't have to wait. Clones of a manual clock share the same time.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use session_layer::Clock;
///
/// let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_005));
/// ```
#[derive(Clone, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { manual: None }
    }

    /// Creates a clock that stands at `start` until [`advance`](Self::advance) or [`set`](Self::set) moves it.
    #[must_use]
    pub fn manual(start: SystemTime) -> Self {
        Self { manual: Some(Arc::new(AtomicU64::new(to_millis(start)))) }
    }

    /// Returns the current time in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match &self.manual {
            Some(millis) => from_millis(millis.load(Ordering::SeqCst)),
            None => from_millis(to_millis(SystemTime::now())),
        }
    }

    /// Returns the current time for comparisons, not for storage. On Linux and Android it is read from the system's
    /// coarse clock, which is at most one kernel tick late (1 to 10 milliseconds) and takes a tenth of the time to
    /// read.
    pub(crate) fn recent(&self) -> SystemTime {
        from_millis(self.recent_millis())
    }

    /// The same as [`recent`](Self::recent), in milliseconds since the Unix epoch.
    pub(crate) fn recent_millis(&self) -> u64 {
        match &self.manual {
            Some(millis) => millis.load(Ordering::SeqCst).min(LAST_MILLIS),
            None => coarse_millis(),
        }
    }

    /// Moves a manual clock forward, at most to the end of the year 9999. Has no effect on the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Some(millis) = &self.manual {
            let by = duration_millis(by);
            let later = |now: u64| Some(now.saturating_add(by).min(LAST_MILLIS));
            // The closure always returns `Some`, so the update can't fail.
            let _ = millis.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
        }
    }

    /// Sets a manual clock. Has no effect on the system's clock.
    pub fn set(&self, to: SystemTime) {
        if let Some(millis) = &self.manual {
            millis.store(to_millis(to), Ordering::SeqCst);
        }
    }

    /// Returns whether this is a manual clock.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }
}

/// Formats a time for people: RFC 3339 in UTC, in whole seconds.
pub(crate) struct Shown(pub(crate) SystemTime);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = to_millis(self.0) / 1_000;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Count days from 0000-03-01. If a year begins in March, its leap day is its last day. 400 years have 146,097
        // days.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + next;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_manual() { "manual" } else { "system" };
        f.debug_struct("Clock").field("kind", &kind).field("now", &self.now()).finish()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn coarse_millis() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    match clock_gettime(ClockId::CLOCK_REALTIME_COARSE) {
        // The cast loses nothing: nanoseconds are less than a second.
        Ok(now) => u64::try_from(now.tv_sec()).map_or(0, |seconds| {
            seconds.saturating_mul(1_000).saturating_add(now.tv_nsec() as u64 / 1_000_000).min(LAST_MILLIS)
        }),
        Err(_) => to_millis(SystemTime::now()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn coarse_millis() -> u64 {
    to_millis(SystemTime::now())
}

/// Returns the milliseconds since the Unix epoch: 0 for an earlier time, and the end of the year 9999 for a later one.
pub(crate) fn to_millis(time: SystemTime) -> u64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => duration_millis(since),
        Err(_) => 0,
    }
}

/// Returns the time this many milliseconds after the Unix epoch, at most the end of the year 9999.
pub(crate) fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis.min(LAST_MILLIS))
}

/// Returns a duration in milliseconds, at most [`LAST_MILLIS`].
pub(crate) fn duration_millis(duration: Duration) -> u64 {
    // `as_millis` divides 128 bits.
    let millis = duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()));
    millis.min(LAST_MILLIS)
}

/// Returns `time + by`, at most the end of the year 9999.
pub(crate) fn later(time: SystemTime, by: Duration) -> SystemTime {
    from_millis(to_millis(time).saturating_add(duration_millis(by)))
}

/// A hundred years. Replaces longer durations, which might not fit into an instant.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// Returns the instant this long from now, by tokio's clock. Longer durations count as a hundred years.
pub(crate) fn deadline(time: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + time.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(10));
        let twin = clock.clone();
        assert_eq!(clock.now(), twin.now());
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(twin.now(), UNIX_EPOCH + Duration::from_millis(11_500));
        twin.set(UNIX_EPOCH);
        assert_eq!(clock.now(), UNIX_EPOCH);
    }

    #[test]
    fn the_system_clock_is_not_moved() {
        let clock = Clock::system();
        clock.set(UNIX_EPOCH);
        clock.advance(Duration::from_secs(1 << 40));
        let before = from_millis(to_millis(SystemTime::now()));
        let (recent, now) = (clock.recent(), clock.now());
        assert!(before <= now && recent <= now && now <= SystemTime::now());
        assert!(now.duration_since(recent).unwrap() < Duration::from_secs(3_600));
    }

    #[test]
    fn sums_stop_at_the_year_9999() {
        let last = from_millis(u64::MAX);
        assert_eq!(later(last, Duration::MAX), last);
        assert_eq!(to_millis(last), LAST_MILLIS);
        assert_eq!(to_millis(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_time_is_shown_as_its_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(format!("{:?}", Shown(from_millis(seconds * 1_000))), text);
        }
    }
}
