//! What is wrong with a store URL.

/// A part of a store URL is wrong. The message says what to write, and contains no password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UrlError(String);

impl UrlError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Returns the most similar name, if one is similar enough.
fn nearest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(given, name);
    names.iter().copied().min_by_key(|name| distance(name)).filter(|name| distance(name) * 2 <= name.len())
}

/// Returns a "did you mean" for the most similar name, or an empty string.
pub(crate) fn hint(given: &str, names: &[&str]) -> String {
    nearest(given, names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}
