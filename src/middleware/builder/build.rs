//! Builds the layer, and refuses settings that contradict each other.

use std::{sync::Arc, time::Duration};

use super::layer_builder::{Parts, SessionLayerBuilder};
use crate::{
    cookie::ConfigError,
    middleware::SessionLayer,
    record::{HEAD_BYTES, MAX_OWNER_BYTES, OWNER_HEAD_BYTES},
    session::{Context, Settings},
    store::{SessionStore, observed::observed},
};

/// # Building
impl<R> SessionLayerBuilder<R> {
    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// If settings contradict each other (the error names both), if a setting is out of its range, or if the store
    /// lacks a capability that a setting needs.
    pub fn build(self) -> Result<SessionLayer<R>, ConfigError> {
        let Self { parts, error_response } = self;
        let Parts { mut settings, store, observers, clock, cookie, signing, times } = parts;
        let cookie = signing.sign(cookie.build()?)?;
        settings.exclusive = times.checked(settings.conflicts, &store)?;
        if !(0.0..=1.0).contains(&settings.touch_fraction) {
            let given = settings.touch_fraction;
            return Err(ConfigError::new(format!(
                "touch_fraction is {given}: it is a fraction of the idle timeout, from 0 to 1"
            )));
        }
        check_renewal(&settings)?;
        if settings.max_record_bytes < MIN_RECORD_BYTES {
            let given = settings.max_record_bytes;
            return Err(ConfigError::new(format!(
                "max_record_bytes is {given}: a record without any entry takes up to {MIN_RECORD_BYTES} bytes"
            )));
        }
        if settings.sessions_per_owner.is_some_and(|limit| limit.most == 0) {
            return Err(ConfigError::new("sessions_per_owner is 0: nobody could log in"));
        }
        if settings.sessions_per_owner.is_some() && store.owners().is_none() {
            let store = store.name();
            return Err(ConfigError::new(format!(
                "sessions_per_owner needs a store that lists an owner's sessions; {store}, as configured, does not: \
                 choose another, turn its list on, or leave sessions_per_owner out"
            )));
        }
        if let Some(complaint) = settings.codec.complaint() {
            return Err(ConfigError::new(complaint));
        }
        let observers = observers.of(store.name());
        let store = observed(store, &observers);
        settings.cookie = cookie;
        Ok(SessionLayer { context: Arc::new(Context::new(settings, store, observers, clock)), error_response })
    }
}

/// Refuses a grace, or a time between renewals, that would keep old tokens valid for too long.
fn check_renewal(settings: &Settings) -> Result<(), ConfigError> {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let grace = settings.renewal_grace;
    if grace > DAY {
        return Err(ConfigError::new(format!("renewal_grace is {grace:?}: an old token is served for at most a day")));
    }
    match settings.renew_every {
        Some(every) if grace.is_zero() => Err(ConfigError::new(format!(
            "renew_every({every:?}) contradicts a renewal_grace of zero: each renewal would log out the visitor's parallel \
             requests"
        ))),
        Some(every) if every < grace => Err(ConfigError::new(format!(
            "renew_every is {every:?}, less than the renewal_grace of {grace:?}: the number of valid old tokens would keep growing"
        ))),
        _ => Ok(()),
    }
}

/// The size of a record without entries, and with an owner whose name has the maximum length.
const MIN_RECORD_BYTES: usize = HEAD_BYTES + OWNER_HEAD_BYTES + MAX_OWNER_BYTES;

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::{session::ConflictPolicy, store::MemoryStore};

    fn refused(builder: SessionLayerBuilder) -> String {
        builder.build().expect_err("wrong settings").to_string()
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let builder = || SessionLayer::builder(MemoryStore::new());
        assert_eq!(
            refused(builder().touch_fraction(1.5)),
            "touch_fraction is 1.5: it is a fraction of the idle timeout, from 0 to 1"
        );
        assert!(refused(builder().touch_fraction(f64::NAN)).contains("NaN"));
        assert!(refused(builder().max_record_bytes(100)).contains("max_record_bytes is 100"));
        assert!(refused(builder().sessions_per_owner(0, crate::AtLimit::Refuse)).contains("sessions_per_owner is 0"));
        assert!(refused(builder().exclusive_lease(Duration::from_secs(1))).contains("without `exclusive(wait)`"));
        let exclusive = || builder().exclusive(Duration::ZERO);
        assert!(refused(exclusive().exclusive_lease(Duration::ZERO)).contains("exclusive_lease is 0ns"));
        assert!(refused(exclusive().conflict_policy(ConflictPolicy::LastWriteWins)).contains("LastWriteWins"));
        let every = |seconds| builder().renew_every(Duration::from_secs(seconds));
        assert!(refused(every(900).renewal_grace(Duration::ZERO)).contains("renewal_grace of zero"));
        assert!(refused(every(59)).contains("renew_every is 59s, less than the renewal_grace of 60s"));
        assert!(refused(builder().renewal_grace(Duration::MAX)).contains("at most a day"));
        assert!(every(60).build().is_ok());
        assert!(exclusive().conflict_policy(ConflictPolicy::Reject).build().is_ok());
        assert!(builder().build().is_ok());
    }
}
