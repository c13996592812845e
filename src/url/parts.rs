//! The parts of a store URL.
//!
//! A URL often comes from a variable that is empty, or from the documentation of another library. So a part that is
//! empty, misplaced or has another meaning elsewhere is refused, and the error shows the form that was probably meant.

use super::{error::UrlError, options::Options};

/// `scheme:target?name=value&…`.
#[derive(Debug)]
pub(crate) struct StoreUrl<'a> {
    /// In lower case (RFC 3986, section 3.1).
    pub(crate) scheme: String,
    /// The part between the scheme and the options, still encoded: an encoded comma or slash is not a separator.
    pub(crate) target: &'a str,
    query: Option<&'a str>,
}

impl<'a> StoreUrl<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self, UrlError> {
        if url.is_empty() {
            return Err(UrlError::new(
                "the store URL is empty: write `memory:`, `file:DIR`, `memcached://HOST` or `redis://HOST`",
            ));
        }
        if url.chars().any(char::is_control) {
            return Err(UrlError::new("the store URL has a line break or another control character: remove it"));
        }
        if url.chars().any(char::is_whitespace) {
            return Err(UrlError::new("the store URL has a space: remove it, or write `%20` for one in a path"));
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

    /// The part after the `?`, still encoded.
    pub(crate) fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Whether an `@` follows the `?`, as it does if a `?` in a password is not percent-encoded.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn has_at_in_options(&self) -> bool {
        self.query.is_some_and(|query| query.contains('@'))
    }

    /// Returns the options. Fails if the scheme does not take one of them.
    pub(crate) fn options(&self, names: &[&str]) -> Result<Options, UrlError> {
        let fragment = self.target.contains('#') || self.query.is_some_and(|query| query.contains('#'));
        if fragment {
            return Err(UrlError::new(
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

fn no_scheme(url: &str) -> UrlError {
    // A URL with an `@` may contain a password, so it is not repeated.
    if url.contains('@') {
        return UrlError::new(
            "the store URL has no scheme: write `memory:`, `file:DIR`, `memcached://HOST` or `redis://USER:PASSWORD@HOST`",
        );
    }
    let meant = match url {
        path if path.starts_with(['/', '.']) => format!("`file:{path}`"),
        "memory" => "`memory:`".to_owned(),
        _ => "`memory:`, `file:DIR`, `memcached://HOST` or `redis://HOST`".to_owned(),
    };
    UrlError::new(format!("the store URL {url:?} has no scheme: write {meant}"))
}
