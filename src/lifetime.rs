//! Lifetimes of sessions, measured by the server's clock.

use std::time::{Duration, SystemTime};

use crate::clock;

/// A session's idle limit and absolute limit, and how long the browser keeps its cookie.
///
/// The server enforces both limits (OWASP ASVS 5.0, 7.3.1 and 7.3.2). The lifetime is kept in the record, so a session
/// can have another one than the layer's default ("remember me").
///
/// The default follows NIST SP 800-63B-4 for AAL2: one hour idle, 24 hours at most, a browser cookie.
///
/// ```
/// use std::time::Duration;
/// use session_layer::Lifetime;
///
/// let week = Duration::from_secs(7 * 24 * 3_600);
/// let remembered = Lifetime::new(week, 4 * week)?.persistent();
/// # Ok::<(), session_layer::LifetimeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lifetime {
    idle_millis: u64,
    absolute_millis: u64,
    cookie: CookieLifetime,
}

/// How long the browser keeps the cookie. The server enforces its own limits in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CookieLifetime {
    /// Until the browser is closed: no `Max-Age`.
    #[default]
    Browser,
    /// The time left to the absolute limit, at most 400 days (RFC 6265bis, section 5.5).
    Persistent,
}

/// The error of [`Lifetime::new`]: a duration is shorter than one second.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {which} lifetime is {given:?}: it must be at least one second")]
pub struct LifetimeError {
    which: &'static str,
    given: Duration,
}

impl From<LifetimeError> for crate::error::Error {
    fn from(error: LifetimeError) -> Self {
        Self::setup(error)
    }
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Lifetime {
    /// Creates a lifetime that ends after `idle` without use, and after `absolute` in any case. The cookie lasts until
    /// the browser is closed.
    ///
    /// An `idle` longer than `absolute` is allowed and has no effect, since the absolute limit caps the idle limit.
    /// Fractions of a millisecond are cut off.
    ///
    /// # Errors
    ///
    /// If one of them is shorter than one second. Zero would be ambiguous ("at once" or "never"), and some stores count
    /// in whole seconds.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, LifetimeError> {
        for (which, given) in [("idle", idle), ("absolute", absolute)] {
            if given < Duration::from_secs(1) {
                return Err(LifetimeError { which, given });
            }
        }
        Ok(Self::from_millis(clock::duration_millis(idle), clock::duration_millis(absolute), CookieLifetime::Browser))
    }

    pub(crate) const fn from_millis(idle_millis: u64, absolute_millis: u64, cookie: CookieLifetime) -> Self {
        Self { idle_millis, absolute_millis, cookie }
    }

    /// NIST SP 800-63B-4, AAL1: 30 days at most, with no shorter idle limit.
    #[must_use]
    pub const fn aal1() -> Self {
        Self::from_millis(30 * DAY, 30 * DAY, CookieLifetime::Browser)
    }

    /// NIST SP 800-63B-4, AAL2: one hour idle, 24 hours at most. The default.
    #[must_use]
    pub const fn aal2() -> Self {
        Self::from_millis(HOUR, DAY, CookieLifetime::Browser)
    }

    /// NIST SP 800-63B-4, AAL3: 15 minutes idle, 12 hours at most.
    #[must_use]
    pub const fn aal3() -> Self {
        Self::from_millis(15 * MINUTE, 12 * HOUR, CookieLifetime::Browser)
    }

    /// Returns the same lifetime with a cookie that the browser keeps when it is closed.
    #[must_use]
    pub const fn persistent(mut self) -> Self {
        self.cookie = CookieLifetime::Persistent;
        self
    }

    /// Returns the same lifetime with a cookie that lasts until the browser is closed.
    #[must_use]
    pub const fn browser(mut self) -> Self {
        self.cookie = CookieLifetime::Browser;
        self
    }

    /// Returns the idle limit: how long a session lives without use.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_millis)
    }

    /// Returns the absolute limit: how long a session lives at most.
    #[must_use]
    pub const fn absolute(&self) -> Duration {
        Duration::from_millis(self.absolute_millis)
    }

    /// Returns how long the browser keeps the cookie.
    #[must_use]
    pub const fn cookie(&self) -> CookieLifetime {
        self.cookie
    }

    /// Returns this fraction of the idle limit, in milliseconds.
    pub(crate) fn idle_part(&self, part: f64) -> u64 {
        // Both are at least 0, and far below the largest integer that an `f64` represents exactly.
        (self.idle_millis as f64 * part).round() as u64
    }

    /// The same as [`expires_at`](Self::expires_at), in milliseconds since the Unix epoch.
    pub(crate) fn expiry_millis(&self, created_millis: u64, used_millis: u64) -> u64 {
        used_millis.saturating_add(self.idle_millis).min(self.limit_millis(created_millis))
    }

    /// The same as [`absolute_limit`](Self::absolute_limit), in milliseconds since the Unix epoch.
    pub(crate) fn limit_millis(&self, created_millis: u64) -> u64 {
        created_millis.saturating_add(self.absolute_millis).min(clock::LAST_MILLIS)
    }

    /// Returns when a session that was created at `created_at` reaches its absolute limit.
    #[must_use]
    pub fn absolute_limit(&self, created_at: SystemTime) -> SystemTime {
        clock::from_millis(self.limit_millis(clock::to_millis(created_at)))
    }

    /// Returns when a session expires: at its idle limit, counted from `used_at`, or at its absolute limit, whichever
    /// comes first. It is expired from that time on.
    #[must_use]
    pub fn expires_at(&self, created_at: SystemTime, used_at: SystemTime) -> SystemTime {
        clock::from_millis(self.expiry_millis(clock::to_millis(created_at), clock::to_millis(used_at)))
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self::aal2()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn idle_is_capped_by_absolute() {
        let lifetime = Lifetime::new(Duration::from_secs(60), Duration::from_secs(100)).unwrap();
        assert_eq!(lifetime.expires_at(at(0), at(0)), at(60));
        assert_eq!(lifetime.expires_at(at(0), at(39)), at(99));
        assert_eq!(lifetime.expires_at(at(0), at(90)), at(100));
    }

    #[test]
    fn zero_is_refused_by_name() {
        let second = Duration::from_secs(1);
        let error = Lifetime::new(Duration::ZERO, second).unwrap_err();
        assert_eq!(error.to_string(), "the idle lifetime is 0ns: it must be at least one second");
        let error = Lifetime::new(second, Duration::from_millis(999)).unwrap_err();
        assert_eq!(error.to_string(), "the absolute lifetime is 999ms: it must be at least one second");
        assert!(Lifetime::new(second, Duration::MAX).is_ok());
    }

    #[test]
    fn presets_follow_nist() {
        assert_eq!(Lifetime::default(), Lifetime::aal2());
        assert_eq!(Lifetime::aal2().idle(), Duration::from_secs(3_600));
        assert_eq!(Lifetime::aal2().absolute(), Duration::from_secs(86_400));
        assert_eq!(Lifetime::aal1().absolute(), Duration::from_secs(30 * 86_400));
        assert_eq!(Lifetime::aal3().idle(), Duration::from_secs(900));
        assert_eq!(Lifetime::aal3().absolute(), Duration::from_secs(43_200));
        assert_eq!(Lifetime::aal3().persistent().cookie(), CookieLifetime::Persistent);
        assert_eq!(Lifetime::aal3().persistent().browser(), Lifetime::aal3());
    }
}
