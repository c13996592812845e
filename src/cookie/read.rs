//! The tokens in a request's `Cookie` lines.

use http::{HeaderMap, header};

use super::session_cookie::SessionCookie;
use crate::{clock::Clock, events::NoSessionReason, id::SessionToken};

/// At most this many cookies of the session's name are looked up. Browsers send several if they differ in path or
/// domain. The limit bounds the store calls of one request.
const MAX_TOKENS: usize = 4;

/// The well-formed tokens of a request, in its order.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    first: Option<SessionToken>,
    /// Rarely used.
    others: Vec<SessionToken>,
}

impl Tokens {
    fn push(&mut self, token: SessionToken) {
        if self.first.is_none() {
            self.first = Some(token);
        } else if self.others.len() + 1 < MAX_TOKENS {
            self.others.push(token);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SessionToken> {
        self.first.iter().chain(&self.others)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether there is more than one.
    pub(crate) fn are_several(&self) -> bool {
        !self.others.is_empty()
    }
}

/// Reads all `Cookie` lines. HTTP/2 splits them (RFC 9113, section 8.2.3).
///
/// Names are compared byte for byte, and only spaces and tabs are trimmed. A server that trims other Unicode spaces, or
/// that unquotes or decodes names, would accept a cookie whose prefix no browser has checked. Values of other cookies
/// are ignored, so they can't hide the session's.
///
/// Malformed values, and values without a valid signature if signing is on, are rejected without a store call.
pub(crate) fn read(
    headers: &HeaderMap,
    cookie: &SessionCookie,
    clock: &Clock,
    mut refuse: impl FnMut(NoSessionReason),
) -> Tokens {
    let mut tokens = Tokens::default();
    let mut seen = false;
    for line in headers.get_all(header::COOKIE) {
        for pair in line.as_bytes().split(|&byte| byte == b';') {
            let Some(value) = value_of(pair, cookie.name().as_bytes()) else { continue };
            seen = true;
            match std::str::from_utf8(value).map(|value| cookie.token(value, clock)) {
                Ok(Ok(token)) => tokens.push(token),
                Ok(Err(reason)) => refuse(reason),
                Err(_) => refuse(NoSessionReason::Malformed),
            }
        }
    }
    if !seen {
        refuse(NoSessionReason::NoCookie);
    }
    tokens
}

/// Returns the value of the pair, if it has this name.
fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    trim(pair).strip_prefix(name)?.strip_prefix(b"=")
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// For the fuzz target: at most four tokens are found, and each is in the lines as the whole value of the cookie.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        if let Ok(line) = http::HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, line);
        }
    }
    let cookie = super::CookieConfig::default().build().expect("the default is right");
    let tokens = read(&headers, &cookie, &Clock::system(), |_| ());
    for token in tokens.iter() {
        let pair = format!("{}={}", cookie.name(), *token.reveal());
        let stands = |line: &[u8]| line.windows(pair.len()).any(|part| part == pair.as_bytes());
        assert!(headers.get_all(header::COOKIE).iter().any(|line| stands(line.as_bytes())));
    }
    assert!(tokens.iter().count() <= MAX_TOKENS);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::cookie::CookieConfig;

    const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const OTHER: &str = "BBECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn tokens(lines: &[&[u8]]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let cookie = CookieConfig::default().build().unwrap();
        read(&headers, &cookie, &Clock::system(), |_| ()).iter().map(|token| token.reveal().to_string()).collect()
    }

    #[test]
    fn all_lines_and_pairs_are_read() {
        let line = format!("a=b; __Host-sid={TOKEN};c=d");
        assert_eq!(tokens(&[line.as_bytes()]), [TOKEN]);
        let second = format!("__Host-sid={OTHER}");
        assert_eq!(tokens(&[line.as_bytes(), b"x=y", second.as_bytes()]), [TOKEN, OTHER]);
        assert!(tokens(&[]).is_empty());
    }

    /// Another cookie's value, even if it is not text, hides nothing.
    #[test]
    fn foreign_bytes_hide_nothing() {
        let line = [b"x=\xff\xfe; __Host-sid=", TOKEN.as_bytes(), b"; y=\"a"].concat();
        assert_eq!(tokens(&[&line]), [TOKEN]);
    }

    /// Names that only resemble the cookie's name are other cookies.
    #[test]
    fn similar_names_are_other_cookies() {
        for name in [
            "..Host-sid",
            "%5f_Host-sid",
            "\"__Host-sid\"",
            "__Host-sid ",
            "__host-sid",
            "sid",
            "__Secure-sid",
            "__Host-sid2",
            "\u{a0}__Host-sid",
            "\u{2003}__Host-sid",
            "$__Host-sid",
        ] {
            let line = format!("{name}={TOKEN}");
            assert!(tokens(&[line.as_bytes()]).is_empty(), "{name:?}");
        }
    }

    /// A malformed value never leaves this function.
    #[test]
    fn malformed_values_are_dropped() {
        for value in
            ["", "x", "\"", &TOKEN[1..], &format!("{TOKEN}A"), &format!("\"{TOKEN}\""), &TOKEN.replace('A', "=")]
        {
            let line = format!("__Host-sid={value}; __Host-sid={OTHER}");
            assert_eq!(tokens(&[line.as_bytes()]), [OTHER], "{value:?}");
        }
    }

    #[test]
    fn at_most_four() {
        let line = format!("__Host-sid={TOKEN};").repeat(9);
        assert_eq!(tokens(&[line.as_bytes()]).len(), MAX_TOKENS);
    }
}
