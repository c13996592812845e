//! The parts of a store URL.
//!
//! A URL often comes from a variable that is empty, or from the documentation of another library. So a part that is
//! empty, misplaced or has another meaning elsewhere is refused, and the error shows the form that was probably meant.

use super::{error::ConnectError, options::Options};

/// `scheme:target?name=value&…`.
#[derive(Debug)]
pub(super) struct StoreUrl<'a> {
    /// In lower case (RFC 3986, section 3.1).
    pub(super) scheme: String,
    /// The part between the scheme and the options, still encoded: an encoded comma or slash is not a separator.
    pub(super) target: &'a str,
    query: Option<&'a str>,
}

impl<'a> StoreUrl<'a> {
    pub(super) fn parse(url: &'a str) -> Result<Self, ConnectError> {
        if url.is_empty() {
            return Err(ConnectError::new("the store URL is empty: write `memory:`, `file:DIR` or `memcached://HOST`"));
        }
        if url.chars().any(char::is_control) {
            return Err(ConnectError::new("the store URL has a line break or another control character: remove it"));
        }
        if url.chars().any(char::is_whitespace) {
            return Err(ConnectError::new("the store URL has a space: remove it, or write `%20` for one in a path"));
        }
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err(no_scheme(url));
        };
        let (target, query) = match rest.split_once('?') {
            Some((target, query)) => (target, Some(query)),
            None => (rest, None),
        };
        Ok(Self { scheme: scheme.to_ascii_lowercase(), target, query })
    }

    /// Whether an `@` follows the `?`, as it does if a `?` in a password is not percent-encoded.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn has_at_in_options(&self) -> bool {
        self.query.is_some_and(|query| query.contains('@'))
    }

    /// Returns the options. Fails if the scheme does not take one of them.
    pub(super) fn options(&self, names: &[&str]) -> Result<Options, ConnectError> {
        let fragment = self.target.contains('#') || self.query.is_some_and(|query| query.contains('#'));
        if fragment {
            return Err(ConnectError::new(
                "the store URL has a `#`, which begins a fragment, and store URLs have none: write `%23` for the character",
            ));
        }
        Options::parse(&self.scheme, self.query, names)
    }
}

/// Whether this is a scheme by RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn no_scheme(url: &str) -> ConnectError {
    // A URL with an `@` may contain a password, so it is not repeated.
    if url.contains('@') {
        return ConnectError::new(
            "the store URL has no scheme: write `memory:`, `file:DIR` or `memcached://HOST`, without user and password",
        );
    }
    let meant = match url {
        path if path.starts_with(['/', '.']) => format!("`file:{path}`"),
        "memory" => "`memory:`".to_owned(),
        _ => "`memory:`, `file:DIR` or `memcached://HOST`".to_owned(),
    };
    ConnectError::new(format!("the store URL {url:?} has no scheme: write {meant}"))
}
