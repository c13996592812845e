//! A site with one route behind the layer, a browser's cookies, and the parts of a response.

use std::{
    cell::RefCell,
    fmt::{Debug, Write},
    future::Future,
    sync::{Arc, Mutex, Once},
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    handler::Handler,
    routing::any,
};
use http::{HeaderMap, Request, StatusCode, header};
use session_layer::{
    Clock, DynStore, Error, ErrorKind, MemoryStore, Session, SessionId, SessionLayer, SessionLayerBuilder,
    SessionStore,
    conformance::fault::FaultStore,
    id::{SessionToken, TokenCheck},
    store::Stored,
};
use tower::ServiceExt;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3_600);

/// The layer over a store that the test can make fail.
#[derive(Clone)]
pub struct Site {
    pub store: FaultStore<MemoryStore>,
    pub clock: Clock,
    pub layer: SessionLayer,
    /// The store that the layer uses.
    pub outer: DynStore,
    name: String,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// A browser's session cookie.
#[derive(Debug, Clone)]
pub struct Jar {
    name: String,
    pub value: Option<String>,
}

/// A common handler result.
pub fn ok() -> Result<&'static str, Error> {
    Ok("ok")
}

/// The kind of the error, which must be there.
pub fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.map(drop).unwrap_err().kind()
}

impl Site {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder) -> Self {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
        Self::over(store.clone(), store, clock, settings)
    }

    /// `outer` is the store that the layer uses; `store` is somewhere below it.
    pub fn over(
        outer: impl SessionStore,
        store: FaultStore<MemoryStore>,
        clock: Clock,
        settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    ) -> Self {
        let outer = DynStore::new(outer);
        let layer = settings(SessionLayer::builder(outer.clone()).clock(clock.clone())).build().unwrap();
        Self { store, clock, layer, outer, name: "__Host-sid".to_owned() }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn jar(&self) -> Jar {
        Jar { name: self.name.clone(), value: None }
    }

    /// A router whose only route has this handler.
    pub fn router<H: Handler<T, ()>, T: 'static>(&self, handler: H) -> Router {
        Router::new().route("/", any(handler)).layer(self.layer.clone())
    }

    /// Sends the jar's cookie; the jar ignores cookies in the response.
    pub fn send<H: Handler<T, ()>, T: 'static>(
        &self,
        jar: &Jar,
        handler: H,
    ) -> impl Future<Output = Reply> + use<H, T> {
        let router = self.router(handler);
        let request = request(jar.line().as_deref());
        async move { answered(router.oneshot(request).await.unwrap()).await }
    }

    /// Sends the jar's cookie, and keeps the cookies of the response as a browser does.
    pub async fn visit<H: Handler<T, ()>, T: 'static>(&self, jar: &mut Jar, handler: H) -> Reply {
        let reply = self.send(jar, handler).await;
        jar.absorb(&reply);
        reply
    }

    /// Loads the stored session from below all faults.
    pub async fn stored(&self, id: &SessionId) -> Option<Stored> {
        self.store.inner().load(id).await.unwrap()
    }

    /// The stored value of an entry, as JSON text.
    pub async fn entry(&self, jar: &Jar, key: &str) -> Option<String> {
        let stored = self.stored(&jar.id()).await?;
        // The first byte names the codec.
        stored.record.entries().get(key).map(|bytes| String::from_utf8(bytes[1..].to_vec()).unwrap())
    }

    /// A visitor who has a session with one entry, `n` = 1.
    pub async fn visitor(&self) -> Jar {
        let mut jar = self.jar();
        let reply = self.visit(&mut jar, async |session: Session| session.insert("n", 1)).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(jar.value.is_some());
        self.store.forget();
        jar
    }

    /// A visitor who is logged in, with the same entry.
    pub async fn member(&self, owner: &'static str) -> Jar {
        let mut jar = self.jar();
        let handler = async move |session: Session| {
            session.login(owner)?;
            session.insert("n", 1)
        };
        let reply = self.visit(&mut jar, handler).await;
        assert_eq!(reply.status, StatusCode::OK);
        self.store.forget();
        jar
    }
}

/// Whether the jar's cookie leads to a session.
pub async fn is_live(site: &Site, jar: &Jar) -> bool {
    let reply = site.send(jar, async |session: Option<Session>| session.is_some().to_string()).await;
    assert_eq!(reply.status, StatusCode::OK);
    reply.body == "true"
}

/// Stops a handler once, until the test lets it continue.
#[derive(Clone)]
pub struct Stop(Arc<(tokio::sync::Notify, tokio::sync::Notify)>);

impl Stop {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// In the handler: signals that it has arrived, and waits.
    pub async fn here(&self) {
        self.0.0.notify_one();
        self.0.1.notified().await;
    }

    /// In the test: waits until the handler has arrived.
    pub async fn reached(&self) {
        self.0.0.notified().await;
    }

    /// In the test: lets the handler continue.
    pub fn go(&self) {
        self.0.1.notify_one();
    }
}

pub fn request(cookies: Option<&str>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    if let Some(cookies) = cookies {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    request
}

pub async fn answered(response: http::Response<Body>) -> Reply {
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

impl Reply {
    /// The `Set-Cookie` lines.
    pub fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
    }

    pub fn sets_no_cookie(&self) -> bool {
        self.cookies().is_empty()
    }

    /// All values of a header, joined.
    pub fn header(&self, name: &str) -> String {
        let values: Vec<_> = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    }
}

impl Jar {
    /// The `Cookie` line.
    pub fn line(&self) -> Option<String> {
        self.value.as_ref().map(|value| format!("{}={value}", self.name))
    }

    /// The id of the session that the cookie names.
    pub fn id(&self) -> SessionId {
        self.identify().0
    }

    pub fn identify(&self) -> (SessionId, TokenCheck) {
        let token = SessionToken::parse(self.value.as_deref().unwrap()).unwrap();
        let bare = self.name.trim_start_matches("__Host-").trim_start_matches("__Secure-");
        token.identify(bare)
    }

    /// Does what a browser does with the response's `Set-Cookie` lines.
    pub fn absorb(&mut self, reply: &Reply) {
        for line in reply.cookies() {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if name != self.name {
                continue;
            }
            let removed = attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0");
            self.value = (!removed).then(|| value.to_owned());
        }
    }
}

/// Records this crate's events on this thread as text: level, target and fields.
///
/// One subscriber serves all threads. With several, `tracing` would cache for good that a callsite is disabled once a
/// thread without a subscriber has reached it.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

/// Stops recording when dropped.
pub struct Kept;

thread_local! {
    static EVENTS: RefCell<Option<Events>> = const { RefCell::new(None) };
}

impl Events {
    /// Records events until the guard is dropped.
    pub fn keep() -> (Self, Kept) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Keeper).unwrap());
        let events = Self::default();
        EVENTS.set(Some(events.clone()));
        (events, Kept)
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Counts the events with this message at this level.
    pub fn count(&self, level: Level, message: &str) -> usize {
        let start = format!("{level} ");
        self.all().iter().filter(|event| event.starts_with(&start) && event.contains(message)).count()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        EVENTS.set(None);
    }
}

struct Keeper;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("session_layer")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(events) = EVENTS.with_borrow(Option::clone) else { return };
        let mut text = Text(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut text);
        events.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
