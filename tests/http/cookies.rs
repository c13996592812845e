//! Two kinds of harmful cookies: two live ones in one browser, and `Secure` ones over plain HTTP.

use axum::{Router, body::Body, routing::any};
use http::{Request, StatusCode, header};
use session_layer::{
    CookieConfig, Error, LazySession, Session, SessionHandle, SessionLayer, SessionLayerBuilder, store::Listing,
};
use tower::{ServiceExt, service_fn};
use tracing::Level;

use super::support::{Events, Reply, Site, answered};

const HOST: &str = "shop.example.org";

/// A browser's cookies (RFC 6265bis, section 5.6), by name, domain, host-only flag and path.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    name: String,
    value: String,
    /// `None` for a host-only cookie.
    domain: Option<String>,
    path: String,
}

#[derive(Debug, Default)]
struct Browser(Vec<Kept>);

impl Browser {
    /// Applies a `Set-Cookie` line from the host.
    fn absorb(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = |name: &str| {
            let all = attributes.split(';').filter_map(|one| one.trim().split_once('='));
            all.filter(|(other, _)| *other == name).map(|(_, value)| value.to_owned()).next_back()
        };
        let domain = attribute("Domain");
        if domain.as_ref().is_some_and(|domain| domain == "org" || !format!(".{HOST}").ends_with(&format!(".{domain}")))
        {
            return;
        }
        let kept = Kept { name: name.to_owned(), value: value.to_owned(), domain, path: attribute("Path").unwrap() };
        self.0.retain(|old| (&old.name, &old.domain, &old.path) != (&kept.name, &kept.domain, &kept.path));
        if attribute("Max-Age").as_deref() != Some("0") {
            self.0.push(kept);
        }
    }

    fn plant(&mut self, name: &str, value: &str, domain: Option<&str>, path: &str) {
        let (name, value, domain) = (name.to_owned(), value.to_owned(), domain.map(str::to_owned));
        self.0.push(Kept { name, value, domain, path: path.to_owned() });
    }

    /// Returns the `Cookie` line for a path of the host.
    fn line(&self, path: &str) -> String {
        let matches = |cookie: &&Kept| {
            path == cookie.path
                || path
                    .strip_prefix(&cookie.path)
                    .is_some_and(|rest| cookie.path.ends_with('/') || rest.starts_with('/'))
        };
        let pairs = self.0.iter().filter(matches).map(|cookie| format!("{}={}", cookie.name, cookie.value));
        pairs.collect::<Vec<_>>().join("; ")
    }

    async fn visit(&mut self, router: &Router, path: &str) -> Reply {
        let request = Request::get(path).header(header::HOST, HOST).header(header::COOKIE, self.line(path));
        let reply = answered(router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await;
        reply.cookies().iter().for_each(|line| self.absorb(line));
        reply
    }
}

fn routes(layer: &SessionLayer) -> Router {
    Router::new()
        .route("/shop/cart", any(async |session: Session| session.insert("n", 2)))
        .route("/shop/bye", any(async |lazy: LazySession| lazy.destroy().await.map(|ended| ended.to_string())))
        .route("/shop/shrug", any(async |session: Result<Session, Error>| session.is_err().to_string()))
        .layer(layer.clone())
}

/// A site with this cookie configuration, and the values of two of its live sessions.
async fn two_live(cookie: CookieConfig, name: &str) -> (Site, [String; 2]) {
    let site = Site::with(|builder: SessionLayerBuilder| builder.cookie(cookie)).named(name);
    let mut values = Vec::new();
    for _ in 0..2 {
        values.push(site.visitor().await.value.unwrap());
    }
    (site, values.try_into().unwrap())
}

#[tokio::test]
async fn the_answer_to_two_live_cookies_drops_both_and_ends_no_session() {
    for (first, second) in [
        ((None, "/"), (None, "/shop")),
        ((None, "/"), (None, "/shop/")),
        ((None, "/"), (None, "/shop/cart")),
        ((None, "/"), (Some("example.org"), "/")),
        ((None, "/shop"), (Some(HOST), "/shop")),
        ((Some(HOST), "/shop"), (Some("example.org"), "/shop")),
    ] {
        let (site, [one, two]) = two_live(CookieConfig::new("id").secure(false), "id").await;
        let router = routes(&site.layer);
        let mut browser = Browser::default();
        browser.plant("id", &one, first.0, first.1);
        browser.plant("id", &two, second.0, second.1);
        browser.plant("theme", "dark", None, "/");
        let reply = browser.visit(&router, "/shop/cart").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(browser.line("/shop/cart"), "theme=dark", "{first:?} {second:?}: {:?}", reply.cookies());
        assert_eq!(site.store.inner().count().await.unwrap(), 2, "the sessions live on");
        // One line for each name, domain and path.
        let mut scopes: Vec<_> = reply.cookies().iter().map(|line| line.to_string()).collect();
        let count = scopes.len();
        scopes.sort();
        scopes.dedup();
        assert_eq!(scopes.len(), count);
        assert!(count <= 16);
        // The visitor can use the site again.
        assert_eq!(browser.visit(&router, "/shop/cart").await.status, StatusCode::OK);
        assert_eq!(browser.visit(&router, "/shop/cart").await.status, StatusCode::OK);
    }
}

/// A browser has at most one cookie of a `__Host-` name, so one line removes it.
#[tokio::test]
async fn a_host_cookie_is_dropped_by_one_line() {
    let (site, [one, two]) = two_live(CookieConfig::default(), "__Host-sid").await;
    let mut browser = Browser::default();
    browser.plant("__Host-sid", &one, None, "/");
    browser.plant("__Host-sid", &two, None, "/shop");
    let reply = browser.visit(&routes(&site.layer), "/shop/cart").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let line = "__Host-sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(reply.cookies(), [line]);
}

#[tokio::test]
async fn a_logout_ends_both_of_two_live_sessions_and_drops_both_cookies() {
    let (site, [one, two]) = two_live(CookieConfig::new("id").secure(false).path("/shop"), "id").await;
    let mut browser = Browser::default();
    browser.plant("id", &one, None, "/shop");
    browser.plant("id", &two, Some("example.org"), "/");
    let reply = browser.visit(&routes(&site.layer), "/shop/bye").await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "true"));
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
    assert!(browser.0.is_empty(), "{:?}", reply.cookies());
}

#[tokio::test]
async fn a_dead_cookie_beside_a_live_one_drops_neither() {
    let (site, [one, two]) = two_live(CookieConfig::new("id").secure(false), "id").await;
    let router = routes(&site.layer);
    let mut browser = Browser::default();
    browser.plant("id", &one, None, "/");
    assert_eq!(browser.visit(&router, "/shop/bye").await.body, "true");
    browser.plant("id", &one, None, "/");
    browser.plant("id", &two, None, "/shop");
    let reply = browser.visit(&router, "/shop/cart").await;
    assert_eq!((reply.status, reply.sets_no_cookie()), (StatusCode::OK, true));
    let missing = browser.visit(&router, "/shop/nothing").await;
    assert_eq!((missing.status, missing.sets_no_cookie()), (StatusCode::NOT_FOUND, true));
}

/// A page that works without a session removes no cookie.
#[tokio::test]
async fn a_handler_that_answers_by_itself_drops_nothing() {
    let (site, [one, two]) = two_live(CookieConfig::new("id").secure(false), "id").await;
    let mut browser = Browser::default();
    browser.plant("id", &one, None, "/");
    browser.plant("id", &two, None, "/shop");
    let reply = browser.visit(&routes(&site.layer), "/shop/shrug").await;
    assert_eq!((reply.status, &*reply.body, reply.sets_no_cookie()), (StatusCode::OK, "true", true));
}

/// A client's `Host` is used in a line only if it is a valid host name.
#[tokio::test]
async fn hostile_hosts_and_paths_get_into_no_line() {
    let (site, [one, two]) = two_live(CookieConfig::new("id").secure(false), "id").await;
    let router: Router =
        Router::new().fallback(async |session: Session| session.insert("n", 2)).layer(site.layer.clone());
    for (host, path) in [
        ("evil.example; Path=/x, a=b", "/a"),
        ("127.0.0.1:80", "/;a=b"),
        ("..", "/%0d%0aSet-Cookie:x"),
        ("[::1]", "//a//"),
    ] {
        let request =
            Request::get(path).header(header::HOST, host).header(header::COOKIE, format!("id={one}; id={two}"));
        let reply = answered(router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!((1..=16).contains(&reply.cookies().len()));
        for line in reply.cookies() {
            assert!(line.starts_with("id=; HttpOnly; SameSite=Lax; Path=/"), "{line}");
            assert!(line.ends_with("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{line}");
            assert!(!line.contains("Domain"), "{line}");
            assert_eq!(line.matches(';').count(), 5, "{line}");
        }
    }
}

const WARNING: &str = "a session was created over plain HTTP";

/// Counts the warnings caused by visits with these headers. Each visit creates a session.
async fn warned(layer: &SessionLayer, visits: &[&[(&'static str, &'static str)]]) -> usize {
    let (events, _guard) = Events::keep();
    let router: Router =
        Router::new().route("/", any(async |session: Session| session.insert("n", 1))).layer(layer.clone());
    for headers in visits {
        let request = headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains_key(header::SET_COOKIE));
    }
    events.count(Level::WARN, WARNING)
}

fn layer(settings: impl FnOnce(CookieConfig) -> CookieConfig) -> SessionLayer {
    Site::with(|builder| builder.cookie(settings(CookieConfig::default()))).layer
}

#[tokio::test]
async fn a_secure_cookie_over_plain_http_causes_one_warning() {
    let visits: [&[_]; 3] =
        [&[("host", "192.168.1.7:3000")], &[("host", "dev.example.org")], &[("host", "dev.example.org")]];
    assert_eq!(warned(&layer(|cookie| cookie), &visits).await, 1);
    // Neither the remedy nor the explicit setting causes a warning.
    assert_eq!(warned(&layer(|cookie| cookie.secure(false)), &visits).await, 0);
    assert_eq!(warned(&layer(|cookie| cookie.secure(true)), &visits).await, 0);
}

#[tokio::test]
async fn a_secure_cookie_that_comes_back_causes_no_warning() {
    let visits: [&[_]; 8] = [
        &[],
        &[("host", "localhost:3000")],
        &[("host", "shop.localhost")],
        &[("host", "127.0.0.1:3000")],
        &[("host", "[::1]:3000")],
        &[("host", HOST), ("x-forwarded-proto", "https")],
        &[("host", HOST), ("forwarded", "for=192.0.2.1;proto=https")],
        &[("host", HOST), ("sec-fetch-site", "none")],
    ];
    let layer = layer(|cookie| cookie);
    assert_eq!(warned(&layer, &visits).await, 0);
    // The layer can still warn afterwards.
    assert_eq!(warned(&layer, &[&[("host", HOST)]]).await, 1);
}

#[tokio::test]
async fn visits_that_create_no_session_cause_no_warning() {
    let (events, _guard) = Events::keep();
    let layer = layer(|cookie| cookie);
    let router: Router = Router::new()
        .route("/read", any(async |session: Session| session.get::<u8>("n").map(|_| ())))
        .route(
            "/fails",
            any(async |session: Session| {
                session.insert("n", 1).unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route("/asks-nothing", any(async || ()))
        .layer(layer.clone());
    for path in ["/read", "/fails", "/asks-nothing"] {
        let request = Request::get(path).header(header::HOST, HOST).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap();
    }
    // A visitor whose cookie came back causes no warning either.
    let session = layer.new_session();
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    let cookie = layer.request_cookie(&session).unwrap();
    let router: Router = Router::new().route("/", any(async |session: Session| session.renew())).layer(layer.clone());
    let request = Request::get("/").header(header::HOST, HOST).header(header::COOKIE, cookie);
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(response.headers().contains_key(header::SET_COOKIE));
    assert_eq!(events.count(Level::WARN, WARNING), 0);
}

/// An application's own handle knows only the headers. A `LazySession` counts as well.
#[tokio::test]
async fn the_warning_works_without_axum_and_with_a_lazy_session() {
    for is_lazy in [false, true] {
        let (events, _guard) = Events::keep();
        let layer = layer(|cookie| cookie);
        let service =
            tower::ServiceBuilder::new().layer(layer).service(service_fn(move |request: Request<Body>| async move {
                let handle = SessionHandle::of(request.extensions()).unwrap();
                let session = if is_lazy {
                    handle.lazy(request.headers()).session().await.unwrap()
                } else {
                    handle.session(request.headers()).await.unwrap()
                };
                session.login("ada").unwrap();
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
            }));
        let request = Request::get("/").header(header::HOST, HOST).body(Body::empty()).unwrap();
        service.oneshot(request).await.unwrap();
        assert_eq!(events.count(Level::WARN, WARNING), 1);
    }
}
