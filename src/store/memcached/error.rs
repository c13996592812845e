//! The error for an invalid setting.

/// An invalid setting of a memcached store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("memcached setting `{setting}` is {given}; allowed: {allowed}")]
pub struct MemcachedConfigError {
    setting: &'static str,
    given: String,
    allowed: &'static str,
}

impl From<MemcachedConfigError> for crate::error::Error {
    fn from(error: MemcachedConfigError) -> Self {
        Self::setup(error)
    }
}

impl MemcachedConfigError {
    pub(super) fn new(setting: &'static str, given: impl Into<String>, allowed: &'static str) -> Self {
        Self { setting, given: given.into(), allowed }
    }

    /// Returns the name of the setting, which is that of the builder's method.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
