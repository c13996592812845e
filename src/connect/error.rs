//! A store URL is wrong, or its store can't be opened.

use std::error::Error as StdError;

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

impl ConnectError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The store could not be opened.
    #[cfg_attr(
        not(any(
            feature = "memory",
            feature = "file",
            feature = "memcached",
            feature = "postgres",
            feature = "mysql",
            feature = "sqlite"
        )),
        allow(dead_code, reason = "no store is compiled in")
    )]
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

/// Returns the most similar name, if one is similar enough.
pub(super) fn nearest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(given, name);
    names.iter().copied().min_by_key(|name| distance(name)).filter(|name| distance(name) * 2 <= name.len())
}

/// Returns a "did you mean" for the most similar name, or an empty string.
pub(super) fn hint(given: &str, names: &[&str]) -> String {
    nearest(given, names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}
