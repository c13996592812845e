//! Errors in the settings.

use crate::url::UrlError;

/// A setting of a Redis store is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RedisConfigError {
    setting: &'static str,
    message: String,
}

impl From<RedisConfigError> for crate::error::Error {
    fn from(error: RedisConfigError) -> Self {
        Self::setup(error)
    }
}

impl RedisConfigError {
    pub(super) fn new(setting: &'static str, given: impl Into<String>, allowed: &'static str) -> Self {
        Self { setting, message: format!("redis setting `{setting}` is {}: allowed is {allowed}", given.into()) }
    }

    pub(super) fn of_url(error: &UrlError) -> Self {
        Self { setting: "url", message: error.to_string() }
    }

    /// Returns the name of the setting: that of the builder's method, or `url`.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
