//! What is due once the handler has answered: also for a session whose data has not changed, a touch, a renewal, or
//! recording its first use.

use std::time::SystemTime;

use super::{changes::TokenChange, context::Context, policy::SavePolicy, settings::Settings, state::State};
use crate::{
    clock::{duration_millis, to_millis as millis},
    store::SessionStore,
};

/// What is due once the handler has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The request did not use the session.
    Untouched,
    /// The session was loaded, and there is nothing to write.
    Clean,
    /// There is something to write.
    Commit {
        /// The commit renews or destroys, so it runs on even if the client disconnects.
        runs_on: bool,
    },
    /// There is nothing to write, but the lease must be released.
    ReleaseLease,
}

/// The minimum age of the last renewal, in milliseconds, at which a forwarded request renews again. Before that, the
/// response with the new token may still be under way.
const RESCUE_AFTER: u64 = 5_000;

impl State {
    /// Whether a session that was only read is due for a touch.
    pub(crate) fn is_touch_due(&self, settings: &Settings, now: SystemTime) -> bool {
        let Some(live) = self.live() else { return false };
        if self.wants_touch {
            return true;
        }
        // A request with the old token must not look as if it had presented the new one.
        if self.skip_touch || live.is_forwarded {
            return false;
        }
        let stored = &live.stored;
        let is_unpresented = live.is_unpresented(now);
        let (now, used_at, expires_at) = (millis(now), millis(stored.used_at), millis(stored.expires_at));
        let part = stored.record.lifetime().idle_part(settings.touch_fraction);
        let next = stored.record.expiry_millis(now);
        if is_unpresented && next > expires_at {
            return true;
        }
        // After the lifetime was made longer, a late touch with the old lifetime may have moved the last use and left
        // an expiry that is too early.
        let is_due = now >= used_at.saturating_add(part) || next >= expires_at.saturating_add(part);
        is_due && next > expires_at
    }

    /// Whether the first request with a renewal's token must save the session to record that use.
    ///
    /// A store may derive the last use from the expiry. If the absolute limit keeps a touch from moving the expiry, the
    /// touch would not record the use.
    ///
    /// Always `false` if the store lets the last write win: the save would overwrite what others have written since the
    /// session was loaded.
    pub(crate) fn is_first_use_unrecorded(&self, context: &Context, now: SystemTime) -> bool {
        let Some(live) = self.live() else { return false };
        let next = live.stored.record.expiry_millis(millis(now));
        !self.skip_touch
            && !live.is_forwarded
            && live.is_unpresented(now)
            && next <= millis(live.stored.expires_at)
            && !context.store.overwrites()
    }

    /// Whether the layer's periodic renewal is due.
    ///
    /// The response with a new token can be lost, so that the browser keeps the old one. A forwarded request therefore
    /// renews again, but only if no request has presented the newest token and its response must have arrived by now.
    /// If every forwarded request renewed, late responses would overwrite each other's cookies.
    pub(crate) fn is_renewal_due(&self, settings: &Settings, now: SystemTime) -> bool {
        let (Some(every), Some(live)) = (settings.renew_every, self.live()) else { return false };
        // If this request already sets a cookie, the token is new.
        let is_new = self.notes.cookie.is_some();
        if is_new || self.skip_touch || self.token_change != TokenChange::Keep || self.is_ended_beside(live) {
            return false;
        }
        let record = &live.stored.record;
        let since = record.renewed_millis().unwrap_or_else(|| millis(record.created_at()));
        let age = millis(now).saturating_sub(since);
        if live.is_forwarded { live.is_unpresented(now) && age >= RESCUE_AFTER } else { age >= duration_millis(every) }
    }

    /// Whether the policy saves the session even if nothing has changed.
    pub(crate) fn is_always_saved(&self, settings: &Settings) -> bool {
        settings.save == SavePolicy::Always && self.live().is_some_and(|live| !self.is_ended_beside(live))
    }
}
