//! What is wrong with a setting.

/// A setting of a memcached store is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("memcached setting `{setting}` is {given}: allowed is {allowed}")]
pub struct MemcachedConfigError {
    setting: &'static str,
    given: String,
    allowed: &'static str,
}

impl MemcachedConfigError {
    pub(super) fn new(setting: &'static str, given: impl Into<String>, allowed: &'static str) -> Self {
        Self { setting, given: given.into(), allowed }
    }

    /// The name of the setting: that of the builder's method.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
