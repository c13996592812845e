//! The `Set-Cookie` line of the session cookie, and its removal.

use std::time::Duration;

use cookie::time;
use http::{
    HeaderMap, HeaderValue,
    header::{self, Entry},
};

use super::{prefix::HOST, scope, session_cookie::SessionCookie};
use crate::id::SessionToken;

/// The longest that a browser is asked to keep the cookie: 400 days (RFC 6265bis, section 5.5).
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 3_600);

/// At most this many lines of one response remove cookies. They take 2 KB, which fits into the buffers of proxies.
const MAX_REMOVALS: usize = 16;

impl SessionCookie {
    /// Returns the pair that a client sends back.
    pub(crate) fn pair(&self, token: &SessionToken) -> HeaderValue {
        self.line(token, &[])
    }

    /// Sets the cookie in a response. `max_age` is how long the browser keeps it; `None` is until the browser is
    /// closed.
    pub(crate) fn set(&self, headers: &mut HeaderMap, token: &SessionToken, max_age: Option<Duration>) {
        let line = match max_age {
            Some(age) => {
                let age = format!("; Max-Age={}", age.min(MAX_AGE).as_secs());
                self.line(token, &[&self.attributes, &age])
            }
            None => self.line(token, &[&self.attributes]),
        };
        self.replace(headers, line);
    }

    /// Returns the pair, followed by the attributes. The `cookie` crate is not used here, since it would copy the
    /// token.
    fn line(&self, token: &SessionToken, attributes: &[&str]) -> HeaderValue {
        let plain;
        let signed;
        let value = match &self.signing {
            None => {
                plain = token.text();
                &*plain
            }
            Some(signing) => {
                signed = signing.value(self.name(), token);
                signed.as_bytes()
            }
        };
        // Allocated with its final length, so that it becomes the header without a copy, and no unwiped copy of the
        // token is left behind.
        let length = self.name().len() + 1 + value.len() + attributes.iter().map(|text| text.len()).sum::<usize>();
        let mut line = Vec::with_capacity(length);
        line.extend_from_slice(self.name().as_bytes());
        line.push(b'=');
        line.extend_from_slice(value);
        attributes.iter().for_each(|text| line.extend_from_slice(text.as_bytes()));
        sensitive(line)
    }

    /// Removes the cookie from the browser. All attributes are repeated: without them a browser keeps it, or refuses
    /// the line.
    pub(crate) fn remove(&self, headers: &mut HeaderMap) {
        self.replace(headers, removal(self.empty.clone()));
    }

    /// Returns lines that remove cookies of this name for other paths and domains that a browser can have sent to this
    /// host and path. [`remove`](Self::remove) doesn't remove these.
    ///
    /// A cookie is removed only by a line with exactly its path and domain, and a request doesn't say these (RFC
    /// 6265bis, sections 5.5 and 5.6). But its path is one of the request's prefixes, and its domain is the host or one
    /// of its parents. If a domain is a public suffix, the browser ignores the line. A `__Host-` cookie has only one
    /// path and no domain, so there are no others.
    pub(crate) fn removals_of_others(&self, host: Option<&str>, path: Option<&str>) -> Vec<HeaderValue> {
        if self.name().starts_with(HOST) {
            return Vec::new();
        }
        let own = (self.empty.domain(), self.empty.path().unwrap_or("/"));
        let (paths, domains) = (scope::paths(own.1, path), scope::domains(own.0, host));
        let pairs = domains.iter().flat_map(|domain| paths.iter().map(move |path| (*domain, *path)));
        let others = pairs.filter(|&pair| pair != own).take(MAX_REMOVALS - 1);
        others.map(|(domain, path)| removal(self.at(domain, path))).collect()
    }

    /// Returns an empty cookie of this name for another domain and path.
    fn at(&self, domain: Option<&str>, path: &str) -> cookie::Cookie<'static> {
        let mut other = self.empty.clone();
        other.set_path(path.to_owned());
        match domain {
            Some(domain) => other.set_domain(domain.to_owned()),
            None => other.unset_domain(),
        }
        other
    }

    /// Adds the line in place of any other line of this name, since there must be at most one (RFC 6265bis, section
    /// 4.1.1). Lines of other cookies are kept.
    fn replace(&self, headers: &mut HeaderMap, line: HeaderValue) {
        match headers.entry(header::SET_COOKIE) {
            Entry::Vacant(entry) => drop(entry.insert(line)),
            Entry::Occupied(entry) => {
                let (_, present) = entry.remove_entry_mult();
                let others: Vec<_> = present.filter(|other| !self.is_ours(other)).collect();
                for line in others.into_iter().chain([line]) {
                    headers.append(header::SET_COOKIE, line);
                }
            }
        }
    }

    fn is_ours(&self, line: &HeaderValue) -> bool {
        let name = line.as_bytes().split(|&byte| byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == self.name().as_bytes()
    }
}

/// Returns the line that removes a cookie with this name and these attributes.
fn removal(mut empty: cookie::Cookie<'static>) -> HeaderValue {
    empty.set_max_age(time::Duration::ZERO);
    // For browsers that ignore `Max-Age`.
    empty.set_expires(time::OffsetDateTime::UNIX_EPOCH);
    sensitive(empty.to_string().into_bytes())
}

/// Returns the line as a header value that `Debug` doesn't show.
fn sensitive(line: Vec<u8>) -> HeaderValue {
    // Names, paths, domains and tokens were checked to be visible ASCII.
    let mut value = HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::{CookieConfig, SameSite};

    const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn token() -> SessionToken {
        SessionToken::parse(TOKEN).unwrap()
    }

    fn lines(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
    }

    #[test]
    fn the_line() {
        let mut headers = HeaderMap::new();
        let cookie = CookieConfig::default().build().unwrap();
        cookie.set(&mut headers, &token(), None);
        assert_eq!(lines(&headers), [format!("__Host-sid={TOKEN}; HttpOnly; SameSite=Lax; Secure; Path=/")]);
    }

    #[test]
    fn max_age_is_capped_at_400_days() {
        let mut headers = HeaderMap::new();
        let cookie = CookieConfig::default().build().unwrap();
        cookie.set(&mut headers, &token(), Some(Duration::from_secs(90)));
        assert!(lines(&headers)[0].ends_with("; Max-Age=90"));
        cookie.set(&mut headers, &token(), Some(Duration::MAX));
        assert!(lines(&headers)[0].ends_with("; Max-Age=34560000"));
    }

    /// There is one line for this name, and other names' lines are untouched. Removal repeats every attribute.
    #[test]
    fn one_line_is_written_and_removal_repeats_the_attributes() {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, HeaderValue::from_static("__Secure-id=old; Path=/"));
        headers.append(header::SET_COOKIE, HeaderValue::from_static("theme=dark"));
        let cookie =
            CookieConfig::new("id").path("/app").domain("example.org").same_site(SameSite::None).partitioned(true);
        let cookie = cookie.build().unwrap();
        cookie.remove(&mut headers);
        assert_eq!(
            lines(&headers),
            [
                "theme=dark",
                "__Secure-id=; HttpOnly; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; Max-Age=0; \
                 Expires=Thu, 01 Jan 1970 00:00:00 GMT"
            ]
        );
    }

    fn removals(config: CookieConfig, host: Option<&str>, path: Option<&str>) -> Vec<String> {
        let cookie = config.build().unwrap();
        let mut headers = HeaderMap::new();
        cookie.remove(&mut headers);
        headers.extend(cookie.removals_of_others(host, path).into_iter().map(|line| (header::SET_COOKIE, line)));
        let scope = |line: &str| {
            let (pair, attributes) = line.split_once(';').unwrap();
            assert!(pair == "id=" || pair == "__Secure-id=" || pair == "__Host-id=", "{pair}");
            assert!(attributes.ends_with("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
            let domain = attributes.split("; Domain=").nth(1).map(|rest| rest.split(';').next().unwrap());
            let path = attributes.split("; Path=").nth(1).unwrap().split(';').next().unwrap();
            format!("{} {path}", domain.unwrap_or("-"))
        };
        lines(&headers).into_iter().map(scope).collect()
    }

    #[test]
    fn each_scope_that_a_request_can_have_brought_is_removed_once() {
        let host = Some("a.example.org:8080");
        assert_eq!(removals(CookieConfig::new("id"), host, Some("/a/b")), ["- /"], "of __Host- there is one only");
        let plain = || CookieConfig::new("id").secure(false);
        assert_eq!(removals(plain(), None, None), ["- /"]);
        assert_eq!(removals(plain(), Some("localhost:3000"), Some("/a/b")), ["- /", "- /a", "- /a/", "- /a/b"]);
        assert_eq!(removals(plain().path("/shop"), None, None), ["- /shop", "- /"]);
        assert_eq!(
            removals(plain().path("/shop"), host, Some("/shop/x")),
            [
                "- /shop",
                "- /",
                "- /shop/",
                "- /shop/x",
                "a.example.org /shop",
                "a.example.org /",
                "a.example.org /shop/",
                "a.example.org /shop/x",
                "example.org /shop",
                "example.org /",
                "example.org /shop/",
                "example.org /shop/x",
            ]
        );
        assert_eq!(
            removals(CookieConfig::new("id").domain("example.org"), host, Some("/")),
            ["example.org /", "- /", "a.example.org /"]
        );
        // Hostile values of a client get into no line.
        for hostile in ["", "127.0.0.1", "[::1]:80", "a;b.example", "a b.c", "..", "é.example", "org"] {
            assert_eq!(removals(plain(), Some(hostile), Some("/a;b")), ["- /"], "{hostile:?}");
        }
        assert_eq!(removals(plain(), Some("a.b.c.d.e.f.g.h"), Some(&"/x".repeat(50))).len(), MAX_REMOVALS);
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let mut headers = HeaderMap::new();
        let cookie = CookieConfig::default().build().unwrap();
        cookie.set(&mut headers, &token(), None);
        assert!(!format!("{headers:?}").contains(TOKEN));
        assert!(!format!("{:?}", cookie.pair(&token())).contains(TOKEN));
    }
}
