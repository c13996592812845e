//! The options of a store URL.

use std::{borrow::Cow, str::FromStr};

use super::{
    encoded,
    error::{UrlError, hint},
};

/// The options `name=value&…`: each name is known to the scheme and given once, and no value is empty.
#[derive(Debug)]
pub(crate) struct Options {
    /// Names, and values that are not percent-decoded yet.
    given: Vec<(String, String)>,
}

impl Options {
    pub(crate) fn parse(scheme: &str, query: Option<&str>, names: &[&str]) -> Result<Self, UrlError> {
        let mut given: Vec<(String, String)> = Vec::new();
        if query == Some("") {
            return Err(UrlError::new("the store URL ends in `?`: remove it, or write options after it"));
        }
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            if name.is_empty() {
                return Err(UrlError::new(
                    "the store URL has an option without a name: write `name=value`, and `&` only between two options",
                ));
            }
            if !names.contains(&name) {
                return Err(UrlError::new(format!(
                    "the store URL's option `{name}` is unknown: {}`{scheme}:` takes {}",
                    hint(name, names),
                    names.join(", ")
                )));
            }
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                return Err(UrlError::new(format!("the store URL's option `{name}` has no value: write `{name}=…`")));
            };
            if given.iter().any(|(known, _)| known == name) {
                return Err(UrlError::new(format!("the store URL's option `{name}` is given twice")));
            }
            check_separators(name, value)?;
            given.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self { given })
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path in an option.
    pub(crate) fn path(&self, name: &str) -> Result<Option<String>, UrlError> {
        Ok(self.raw(name).map(encoded::path).transpose()?.map(Cow::into_owned))
    }

    /// Returns the text in an option.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, UrlError> {
        Ok(self.raw(name).map(encoded::decode).transpose()?.map(Cow::into_owned))
    }

    /// Returns the text in an option, which errors don't repeat.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<String>, UrlError> {
        let text = self.raw(name).map(|value| encoded::decode_secret(value, &format!("option `{name}`")));
        Ok(text.transpose()?.map(Cow::into_owned))
    }

    /// Returns the whole number in an option.
    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, UrlError> {
        let Some(value) = self.raw(name).map(encoded::decode).transpose()? else { return Ok(None) };
        let number = value.parse().map_err(|_| {
            UrlError::new(format!("the store URL's option `{name}` is {value:?}: it takes a whole number, such as 100"))
        })?;
        Ok(Some(number))
    }

    /// Returns the meaning of an option's word, which must be one of these.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, UrlError> {
        let Some(value) = self.raw(name).map(encoded::decode).transpose()? else { return Ok(None) };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*meaning));
        }
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(UrlError::new(format!(
            "the store URL's option `{name}` is {value:?}: {}it takes {}",
            hint(&value, &allowed),
            allowed.join(", ")
        )))
    }
}

/// Refuses characters that separate options elsewhere (`;`, a second `?`), and `+`, which is a space elsewhere.
fn check_separators(name: &str, value: &str) -> Result<(), UrlError> {
    let Some(found) = value.chars().find(|c| matches!(c, ';' | '?' | '=' | '+')) else { return Ok(()) };
    let meant = match found {
        '+' => "write `%20` for a space",
        _ => "write `&` between options",
    };
    Err(UrlError::new(format!(
        "the store URL's option `{name}` has a `{found}` in its value: {meant}, or `%{:02X}` for the character",
        u32::from(found)
    )))
}
