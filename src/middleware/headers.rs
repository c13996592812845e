//! The response headers about the session: its cookie, and whether the response may be cached.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{self, Entry},
};

use crate::session::{ResponseNotes, Settings};

/// The headers that inner layers added to a response. If an outer layer replaces the response, it keeps them: a cookie
/// may contain the only token of a session that was renewed.
#[derive(Clone, Default)]
pub(super) struct Given {
    cookies: Vec<HeaderValue>,
    cache_control: Option<HeaderValue>,
}

impl Given {
    /// Records the cookie that was just set, and the `Cache-Control` header beside it.
    pub(super) fn note<B>(response: &mut Response<B>) {
        let cookie = response.headers().get_all(header::SET_COOKIE).iter().next_back().cloned();
        let cache_control = response.headers().get(header::CACHE_CONTROL).cloned();
        let given: &mut Self = response.extensions_mut().get_or_insert_default();
        given.cookies.extend(cookie);
        given.cache_control = cache_control;
    }

    /// Takes the headers that inner layers added to a response that is about to be replaced.
    pub(super) fn take<B>(response: &mut Response<B>) -> Self {
        response.extensions_mut().remove().unwrap_or_default()
    }

    /// Adds them to the response that replaces it.
    pub(super) fn give<B>(self, response: &mut Response<B>) {
        if self.cookies.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        for cookie in &self.cookies {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        if let Some(value) = &self.cache_control {
            headers.insert(header::CACHE_CONTROL, value.clone());
        }
        response.extensions_mut().insert(self);
    }
}

/// Adds the headers of a response that depends on the session. Returns `true` if they set or remove the cookie.
///
/// The response varies by `Cookie`, and is private unless the handler has set `Cache-Control`. If it sets the cookie,
/// no cache may store it: another visitor would get this one's session (RFC 9111, section 7.3).
pub(super) fn apply(settings: &Settings, notes: &ResponseNotes, status: StatusCode, headers: &mut HeaderMap) -> bool {
    // The request had two live sessions and was refused: both cookies are removed, so that the visitor can sign in
    // again. Neither session is ended, since one may be another person's. If the answer is not a refusal, the handler
    // went on without a session, and no cookie is removed.
    let loses_all = notes.two_sessions && status.is_client_error();
    let sets_cookie = match &notes.cookie {
        Some((token, max_age)) => {
            settings.cookie.set(headers, token, *max_age);
            true
        }
        None if notes.destroyed || loses_all => {
            settings.cookie.remove(headers);
            headers.extend(notes.removals.iter().map(|line| (header::SET_COOKIE, line.clone())));
            true
        }
        None => false,
    };
    if !settings.cache_headers {
        return sets_cookie;
    }
    vary_by_cookie(headers);
    if sets_cookie {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    }
    sets_cookie
}

fn vary_by_cookie(headers: &mut HeaderMap) {
    let names = |value: &HeaderValue| {
        let mut names = value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
    };
    let cookie = HeaderValue::from_static("Cookie");
    match headers.entry(header::VARY) {
        Entry::Vacant(entry) => drop(entry.insert(cookie)),
        Entry::Occupied(mut entry) if !entry.iter().any(names) => entry.append(cookie),
        Entry::Occupied(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vary(before: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in before {
            headers.append(header::VARY, HeaderValue::from_static(value));
        }
        vary_by_cookie(&mut headers);
        headers.get_all(header::VARY).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn vary_is_added_once() {
        assert_eq!(vary(&[]), ["Cookie"]);
        assert_eq!(vary(&["Accept"]), ["Accept", "Cookie"]);
        assert_eq!(vary(&["accept, COOKIE"]), ["accept, COOKIE"]);
        assert_eq!(vary(&["*"]), ["*"]);
        assert_eq!(vary(&["Accept", "cookie"]), ["Accept", "cookie"]);
        assert_eq!(vary(&["X-Cookie"]), ["X-Cookie", "Cookie"]);
    }
}
