//! The options of a store URL.

use std::{borrow::Cow, str::FromStr};

use super::{
    encoded,
    error::{ConnectError, hint},
};

/// The options `name=value&…`: each name is known to the scheme and given once, and no value is empty.
#[derive(Debug)]
pub(super) struct Options {
    /// Names, and values that are not percent-decoded yet.
    given: Vec<(String, String)>,
}

impl Options {
    pub(super) fn parse(scheme: &str, query: Option<&str>, names: &[&str]) -> Result<Self, ConnectError> {
        let mut given: Vec<(String, String)> = Vec::new();
        if query == Some("") {
            return Err(ConnectError::new("the store URL ends in `?`: remove it, or write options after it"));
        }
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (pair, None),
            };
            if name.is_empty() {
                return Err(ConnectError::new(
                    "the store URL has an option without a name: write `name=value`, and `&` only between two options",
                ));
            }
            if !names.contains(&name) {
                return Err(ConnectError::new(format!(
                    "the store URL's option `{name}` is unknown: {}`{scheme}:` takes {}",
                    hint(name, names),
                    names.join(", ")
                )));
            }
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                return Err(ConnectError::new(format!(
                    "the store URL's option `{name}` has no value: write `{name}=…`"
                )));
            };
            if given.iter().any(|(known, _)| known == name) {
                return Err(ConnectError::new(format!("the store URL's option `{name}` is given twice")));
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
    pub(super) fn path(&self, name: &str) -> Result<Option<String>, ConnectError> {
        Ok(self.raw(name).map(encoded::path).transpose()?.map(Cow::into_owned))
    }

    /// Returns the text in an option.
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConnectError> {
        Ok(self.raw(name).map(encoded::decode).transpose()?.map(Cow::into_owned))
    }

    /// Returns the whole number in an option.
    pub(super) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, ConnectError> {
        let Some(value) = self.raw(name).map(encoded::decode).transpose()? else { return Ok(None) };
        let number = value.parse().map_err(|_| {
            ConnectError::new(format!(
                "the store URL's option `{name}` is {value:?}: it takes a whole number, such as 100"
            ))
        })?;
        Ok(Some(number))
    }

    /// Returns the meaning of an option's word, which must be one of these.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ConnectError> {
        let Some(value) = self.raw(name).map(encoded::decode).transpose()? else { return Ok(None) };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*meaning));
        }
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(ConnectError::new(format!(
            "the store URL's option `{name}` is {value:?}: {}it takes {}",
            hint(&value, &allowed),
            allowed.join(", ")
        )))
    }
}

/// Refuses characters that separate options elsewhere (`;`, a second `?`), and `+`, which is a space elsewhere.
fn check_separators(name: &str, value: &str) -> Result<(), ConnectError> {
    let Some(found) = value.chars().find(|c| matches!(c, ';' | '?' | '=' | '+')) else { return Ok(()) };
    let meant = match found {
        '+' => "write `%20` for a space",
        _ => "write `&` between options",
    };
    Err(ConnectError::new(format!(
        "the store URL's option `{name}` has a `{found}` in its value: {meant}, or `%{:02X}` for the character",
        u32::from(found)
    )))
}
