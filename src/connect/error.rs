//! The error of opening a store from a URL.

use std::error::Error as StdError;

use crate::url::UrlError;

/// The error of [`connect`](crate::connect()): the store URL is wrong, or its store can't be opened.
///
/// The message says what to do. If a store can't be opened, the message also says why, in the operating system's words
/// if the system refused. The store's own error is the [`source`](StdError::source).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl From<ConnectError> for crate::error::Error {
    fn from(error: ConnectError) -> Self {
        Self::setup(error)
    }
}

impl From<UrlError> for ConnectError {
    fn from(error: UrlError) -> Self {
        Self { message: error.to_string(), source: None }
    }
}

impl ConnectError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Creates the error for a store that could not be opened.
    #[cfg(any(
        feature = "memory",
        feature = "file",
        feature = "memcached",
        feature = "redis",
        feature = "postgres",
        feature = "mysql",
        feature = "sqlite"
    ))]
    pub(super) fn opening(store: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        let mut message = format!("the {store} store can't be opened");
        let mut cause: Option<&dyn StdError> = Some(&source);
        while let Some(error) = cause {
            let text = error.to_string();
            // A driver's errors say what their causes do.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self { message, source: Some(Box::new(source)) }
    }

    /// Replaces the message and keeps the source.
    #[cfg(any(feature = "file", feature = "postgres", feature = "mysql", feature = "sqlite"))]
    pub(super) fn saying(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }
}
