//! What is wrong with a setting.

/// A setting of a Redis store is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redis setting `{setting}` is {given}: allowed is {allowed}")]
pub struct RedisConfigError {
    setting: &'static str,
    given: String,
    allowed: &'static str,
}

impl From<RedisConfigError> for crate::error::Error {
    fn from(error: RedisConfigError) -> Self {
        Self::setup(error)
    }
}

impl RedisConfigError {
    pub(super) fn new(setting: &'static str, given: impl Into<String>, allowed: &'static str) -> Self {
        Self { setting, given: given.into(), allowed }
    }

    /// The name of the setting: that of the builder's method.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
