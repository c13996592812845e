//! A client with a cookie jar from another crate.

use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{COOKIE, HeaderMap, SET_COOKIE},
    redirect::Policy,
};
use serde_json::Value;

use crate::process::Demo;

/// A visitor. Clones share the jar.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    base: String,
    /// Sent instead of the jar's cookies.
    cookie: Option<String>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(demo: &Demo) -> Self {
        let client = Client::builder().cookie_store(true).redirect(Policy::none()).build().unwrap();
        Self { client, base: demo.url(), cookie: None }
    }

    /// A visitor whose client sends this user agent.
    pub(crate) fn calling_itself(demo: &Demo, agent: &str) -> Self {
        let client = Client::builder().cookie_store(true).redirect(Policy::none()).user_agent(agent).build().unwrap();
        Self { client, base: demo.url(), cookie: None }
    }

    /// A client without a jar that always sends this `Cookie` line.
    pub(crate) fn with_cookie(demo: &Demo, cookie: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, base: demo.url(), cookie: Some(cookie.to_owned()) }
    }

    /// A client without a jar that sends the cookie that this answer sets.
    pub(crate) fn with_cookie_of(demo: &Demo, answer: &Answer) -> Self {
        Self::with_cookie(demo, &answer.cookie())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn send(request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        Self::send(self.request(method, path)).await
    }

    pub(crate) async fn ask_with(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.request(method, path);
        Self::send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.ask(Method::POST, path).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        Self::send(self.request(Method::POST, path).form(fields)).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<String>) -> Answer {
        Self::send(self.request(Method::PUT, path).body(body.into())).await
    }

    /// Logs in and returns the answer.
    pub(crate) async fn log_in(&self, user: &str) -> Answer {
        self.form("/login", &[("user", user)]).await.expect(303)
    }

    /// The body of `GET /api/session`.
    pub(crate) async fn session(&self) -> Value {
        self.get("/api/session").await.expect(200).json()
    }

    /// The value of an existing entry.
    pub(crate) async fn entry(&self, key: &str) -> Value {
        self.get(&format!("/api/entries/{key}")).await.expect(200).json()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts an error of this status in the demo's form, and returns its text.
    #[track_caller]
    pub(crate) fn error(self, status: u16) -> String {
        let answer = self.expect(status);
        match answer.json() {
            Value::Object(object) if object.len() == 1 => object["error"].as_str().unwrap().to_owned(),
            other => panic!("no error: {other}"),
        }
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.count(), 0, "{name} is there more than once");
        value
    }

    pub(crate) fn sets_cookie(&self) -> bool {
        self.headers.contains_key(SET_COOKIE)
    }

    /// Asserts that the answer sets no cookie.
    #[track_caller]
    pub(crate) fn no_cookie(self) -> Self {
        assert!(!self.sets_cookie(), "{:?}", self.headers);
        self
    }

    /// The cookie that the answer sets, as `name=value`.
    #[track_caller]
    pub(crate) fn cookie(&self) -> String {
        let set = self.header("set-cookie").expect("it sets a cookie");
        set.split(';').next().unwrap().to_owned()
    }
}
