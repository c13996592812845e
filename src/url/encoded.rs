//! Percent-encoded parts of a store URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::UrlError;

/// Percent-decodes text. Refuses incomplete escapes, and control characters.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, UrlError> {
    let wrong = |what: &str| UrlError::new(format!("the store URL's part {text:?} {what}"));
    let is_encoded =
        |rest: &str| rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(wrong("has a `%` that two hexadecimal digits don't follow: write `%25` for the character"));
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| wrong("is not UTF-8 when percent-decoded"))?;
    if decoded.chars().any(char::is_control) {
        return Err(wrong("has a control character when percent-decoded: remove it"));
    }
    Ok(decoded)
}

/// Percent-decodes text that errors must not repeat.
pub(crate) fn decode_secret<'a>(text: &'a str, what: &str) -> Result<Cow<'a, str>, UrlError> {
    decode(text).map_err(|_| {
        UrlError::new(format!(
            "the store URL's {what} can't be percent-decoded: write `%25` for a `%`, UTF-8, and no control character"
        ))
    })
}

/// Decodes a file system path. Refuses characters that a shell would have expanded, since nothing is expanded here.
pub(crate) fn path(text: &str) -> Result<Cow<'_, str>, UrlError> {
    let wrong = |what: &str| Err(UrlError::new(format!("the store URL's path {text:?} {what}")));
    if text.trim_start_matches('/').starts_with('~') {
        return wrong("begins with `~`, which only a shell replaces: write the whole path, or `%7E` for the character");
    }
    if text.contains('$') {
        return wrong("has a `$`, and variables are not replaced: write the value, or `%24` for the character");
    }
    if cfg!(unix) && text.contains('\\') {
        return wrong("has a `\\`: write `/` between directories, or `%5C` for the character");
    }
    if text.starts_with("//") {
        return wrong("begins with `//`: write one `/`");
    }
    decode(text)
}
