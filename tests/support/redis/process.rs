//! Waiting for servers.

use std::time::Duration;

pub use super::shared::signal;
use super::shared::wait_for;

/// Longer than any start, sync or election takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    wait_for(PATIENCE, what, holds);
}
