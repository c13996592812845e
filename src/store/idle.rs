//! The argument and the result of removing idle and expired sessions.

use std::time::{Duration, SystemTime};

use crate::{clock, lifetime::Lifetime};

/// Selects the sessions that [`delete_idle`](super::Listing::delete_idle) removes.
///
/// A layer does not record every use: it touches a session that is only read once a fraction of its idle timeout has
/// passed ([`touch_fraction`](crate::SessionLayerBuilder::touch_fraction)). So the recorded last use can be too early by that
/// much. A session is deleted only if it was idle even so.
///
/// ```
/// use std::time::Duration;
/// use session_layer::store::Idle;
///
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let idle = Idle::new(month).touch_fraction(0.5);
/// # assert_eq!(idle.unused_for(), month);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    unused_for: Duration,
    touch_fraction: f64,
}

impl Idle {
    /// Selects sessions that have not been used for this long, under layers with the default
    /// [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction) of 0.1.
    #[must_use]
    pub const fn new(unused_for: Duration) -> Self {
        Self { unused_for, touch_fraction: Self::DEFAULT_TOUCH_FRACTION }
    }

    /// The default fraction of the idle timeout that passes before a read touches a session.
    pub(crate) const DEFAULT_TOUCH_FRACTION: f64 = 0.1;

    /// Sets the largest [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction) of the layers that share the store,
    /// from 0 to 1. If it is too small, sessions that were used recently are deleted. A value outside the range is
    /// clamped.
    #[must_use]
    pub const fn touch_fraction(mut self, fraction_of_idle: f64) -> Self {
        // `NaN` counts as 1, which deletes fewer sessions.
        self.touch_fraction = if fraction_of_idle >= 0.0 {
            fraction_of_idle.min(1.0)
        } else if fraction_of_idle < 0.0 {
            0.0
        } else {
            1.0
        };
        self
    }

    /// How long a session must have been unused.
    #[must_use]
    pub const fn unused_for(&self) -> Duration {
        self.unused_for
    }

    /// Whether a session with this lifetime and recorded last use is idle at `now`, even if it was used as long after
    /// that as [`touch_fraction`](Self::touch_fraction) allows.
    #[must_use]
    pub fn includes(&self, lifetime: Lifetime, used_at: SystemTime, now: SystemTime) -> bool {
        self.includes_millis(lifetime, clock::to_millis(used_at), clock::to_millis(now))
    }

    pub(crate) fn includes_millis(&self, lifetime: Lifetime, used_at: u64, now: u64) -> bool {
        used_at.saturating_add(self.late(lifetime)) <= self.cutoff(now)
    }

    /// How much later than recorded a session with this lifetime can have been used, in milliseconds.
    pub(crate) fn late(&self, lifetime: Lifetime) -> u64 {
        lifetime.idle_part(self.touch_fraction)
    }

    /// The latest time of last use with which a session is idle, in milliseconds since the Unix epoch, if every use
    /// were recorded.
    pub(crate) fn cutoff(&self, now: u64) -> u64 {
        now.saturating_sub(clock::duration_millis(self.unused_for))
    }
}

impl From<Duration> for Idle {
    fn from(unused_for: Duration) -> Self {
        Self::new(unused_for)
    }
}

/// The outcome of [`sweep`](super::Listing::sweep) and [`delete_idle`](super::Listing::delete_idle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many sessions were removed.
    pub deleted: u64,
    /// How many live sessions remain.
    pub remaining: u64,
}
