//! The parts of a store URL.

use std::{borrow::Cow, str::FromStr};

use percent_encoding::percent_decode_str;

use super::error::{ConnectError, hint};

/// `scheme:target?name=value&…`, decoded.
#[derive(Debug)]
pub(super) struct StoreUrl {
    pub(super) scheme: String,
    /// What stands between the scheme and the options, still encoded: a comma or slash in a name is not a separator.
    pub(super) target: String,
    options: Vec<(String, String)>,
}

impl StoreUrl {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(ConnectError::new(format!(
                "the store URL {url:?} has no scheme: write `memory:`, `file:DIR` or `memcached://HOST`"
            )));
        };
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(ConnectError::new(format!(
                    "the store URL's option `{pair}` has no value: write `{pair}=…`"
                )));
            };
            if options.iter().any(|(known, _)| known == name) {
                return Err(ConnectError::new(format!("the store URL's option `{name}` is given twice")));
            }
            options.push((name.to_owned(), decode(value)?.into_owned()));
        }
        Ok(Self { scheme: scheme.to_owned(), target: target.to_owned(), options })
    }

    /// Refuses options that the scheme does not take.
    pub(super) fn takes(&self, names: &[&str]) -> Result<(), ConnectError> {
        for (name, _) in &self.options {
            if !names.contains(&name.as_str()) {
                return Err(ConnectError::new(format!(
                    "the store URL's option `{name}` is unknown: {}`{}:` takes {}",
                    hint(name, names),
                    self.scheme,
                    names.join(", ")
                )));
            }
        }
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number.
    pub(super) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, ConnectError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let number = value.parse().map_err(|_| {
            ConnectError::new(format!(
                "the store URL's option `{name}` is {value:?}: it takes a whole number, such as 100"
            ))
        })?;
        Ok(Some(number))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ConnectError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*meaning));
        }
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(ConnectError::new(format!(
            "the store URL's option `{name}` is {value:?}: {}it takes {}",
            hint(value, &allowed),
            allowed.join(", ")
        )))
    }
}

/// Percent-decoded text.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, ConnectError> {
    let wrong = |_| ConnectError::new(format!("the store URL's part {text:?} is not UTF-8 when percent-decoded"));
    percent_decode_str(text).decode_utf8().map_err(wrong)
}
