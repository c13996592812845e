//! An observed site, a browser, and the events seen and traced.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::{Debug, Write},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use axum::{Router, body::Body, handler::Handler, routing::any};
use http::{Request, Response, StatusCode, header};
use session_layer::{
    Clock, Event, EventKind, KeyRing, MemoryStore, Observer, Secret, SessionId, SessionLayer, SessionLayerBuilder,
    SessionStore, id::SessionToken, store::MemoryStoreBuilder,
};
use tower::ServiceExt;
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn clock() -> Clock {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| u8::try_from(i * 7).unwrap())).unwrap())
}

/// Sends one request with these cookies through a layer to a router with this one handler.
pub(crate) async fn send<H: Handler<T, ()>, T: 'static>(
    layer: &SessionLayer,
    cookies: &[&str],
    handler: H,
) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    for cookie in cookies {
        request.headers_mut().append(header::COOKIE, cookie.parse().unwrap());
    }
    Router::new().route("/", any(handler)).layer(layer.clone()).oneshot(request).await.unwrap()
}

/// Returns the `name=value` that a response sets, or `None` if it removes the cookie or sets none.
pub(crate) fn set_cookie(response: &Response<Body>) -> Option<String> {
    let line = response.headers().get(header::SET_COOKIE)?.to_str().unwrap();
    (!line.contains("Max-Age=0")).then(|| line.split(';').next().unwrap().to_owned())
}

/// Returns the id of the session behind a cookie with the default name.
pub(crate) fn id_of(cookie: &str) -> SessionId {
    SessionToken::parse(cookie.split_once('=').unwrap().1).unwrap().identify("sid").0
}

/// A layer with a browser that keeps its one cookie.
pub(crate) struct Browser {
    pub(crate) layer: SessionLayer,
    pub(crate) cookie: Option<String>,
    /// Every cookie that was ever set.
    pub(crate) issued: Vec<String>,
}

impl Browser {
    pub(crate) fn new(layer: SessionLayer) -> Self {
        Self { layer, cookie: None, issued: Vec::new() }
    }

    pub(crate) async fn visit<H: Handler<T, ()>, T: 'static>(&mut self, handler: H) -> StatusCode {
        let cookies: Vec<&str> = self.cookie.as_deref().into_iter().collect();
        let response = send(&self.layer, &cookies, handler).await;
        if response.headers().contains_key(header::SET_COOKIE) {
            self.cookie = set_cookie(&response);
            self.issued.extend(self.cookie.clone());
        }
        response.status()
    }
}

/// The events seen, as text. Ids are written `#1`, `#2`, … in order of appearance, and `+` marks an event with a
/// record.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    notes: Arc<Mutex<Notes>>,
    /// An observer that is called first for each event.
    companion: Option<Arc<dyn Observer>>,
}

/// Counts its events, and panics each time.
#[derive(Default)]
pub(crate) struct Panicking(AtomicU64);

impl Panicking {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Observer for Panicking {
    fn observe(&self, event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        // Like `panic!`, without the message on the terminal.
        std::panic::resume_unwind(Box::new(event.name()));
    }
}

#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    ids: HashMap<SessionId, usize>,
}

impl Notes {
    fn id(&mut self, id: SessionId) -> String {
        let next = self.ids.len() + 1;
        format!("#{}", self.ids.entry(id).or_insert(next))
    }

    fn line(&mut self, event: &Event<'_>) -> String {
        let mut words = vec![event.name().to_owned()];
        match event.kind {
            EventKind::Operation { operation, outcome, sessions, .. } => {
                words = vec![operation.to_owned(), outcome.as_str().to_owned()];
                words.extend(outcome.failure().map(|kind| format!("{kind:?}")));
                words.extend(sessions.map(|sessions| sessions.to_string()));
            }
            EventKind::NoSession { reason, .. } => words.push(format!("({reason})")),
            EventKind::Created { login: true, .. } => words.push("(login)".to_owned()),
            EventKind::Renewed { from, login, .. } => {
                words.extend(login.then(|| "(login)".to_owned()));
                words.push(self.id(from));
            }
            EventKind::ConflictMerged { tries, .. } => words.push(tries.to_string()),
            EventKind::ChangesDropped { reason, .. } => words.push(format!("({reason})")),
            EventKind::HandlerFailed { error, .. } => {
                words.push(format!("{:?} {}", error.kind(), error.key().unwrap_or("no key")));
            }
            EventKind::WriteBlocked { error, .. } | EventKind::CommitFailed { error, .. } => {
                words.push(format!("{:?}", error.kind()));
            }
            EventKind::LoadFailed { error, .. }
            | EventKind::TouchFailed { error, .. }
            | EventKind::ReleaseFailed { error, .. }
            | EventKind::Damaged { error, .. } => words.push(format!("{:?}", error.kind())),
            EventKind::NotOpened { operation, error, .. } => words.push(format!("{operation} {:?}", error.kind())),
            EventKind::OwnerRevoked { removed, .. } => words.push(removed.to_string()),
            EventKind::TurnRefused { reason, .. } => words.push(format!("({reason})")),
            EventKind::LoginRefused { most, .. } => words.push(most.to_string()),
            EventKind::Swept { deleted, remaining, .. } => words.push(format!("{deleted} {remaining}")),
            EventKind::CacheHit { validated, .. } => words.push(validated.to_string()),
            EventKind::CacheEvicted { sessions, .. } => words.push(sessions.to_string()),
            EventKind::NestedLayer { cookie, .. } | EventKind::SecureCookieOverHttp { cookie, .. } => {
                words.push(cookie.to_owned());
            }
            _ => {}
        }
        words.extend(event.id().map(|id| self.id(id)));
        if let EventKind::TwoLiveCookies { second, .. } = event.kind {
            words.push(self.id(second));
        }
        words.extend(event.record().map(|_| "+".to_owned()));
        words.join(" ")
    }
}

impl Seen {
    /// Puts another observer before this one.
    pub(crate) fn beside(companion: Arc<dyn Observer>) -> Self {
        Self { companion: Some(companion), ..Self::default() }
    }

    /// Adds all observers to a builder.
    pub(crate) fn watch<B>(&self, builder: B, observe: impl Fn(B, Arc<dyn Observer>) -> B) -> B {
        let builder = self.companion.iter().cloned().fold(builder, &observe);
        observe(builder, Arc::new(self.clone()))
    }

    /// Returns the events since the last call.
    pub(crate) fn all(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap().lines)
    }

    /// Puts these lines back for the next call.
    pub(crate) fn put_back(&self, lines: impl Iterator<Item = String>) {
        self.notes.lock().unwrap().lines.extend(lines);
    }

    /// Replaces each known id in `text` by its name.
    pub(crate) fn named(&self, text: &str) -> String {
        let notes = self.notes.lock().unwrap();
        notes
            .ids
            .iter()
            .fold(text.to_owned(), |text, (id, number)| text.replace(&id.to_string(), &format!("#{number}")))
    }
}

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        let mut notes = self.notes.lock().unwrap();
        let mut line = notes.line(event);
        if let EventKind::Operation { .. } = event.kind {
            line.insert_str(0, "call ");
        }
        notes.lines.push(line);
    }
}

/// A layer over a memory store with a manual clock, both observed.
pub(crate) fn watched(
    seen: &Seen,
    clock: &Clock,
    settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
) -> SessionLayer {
    let store = seen.watch(MemoryStore::builder().clock(clock.clone()), MemoryStoreBuilder::observe).open().unwrap();
    over(store, seen, clock, settings)
}

/// An observed layer over this store.
pub(crate) fn over(
    store: impl SessionStore,
    seen: &Seen,
    clock: &Clock,
    settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
) -> SessionLayer {
    let builder = seen.watch(SessionLayer::builder(store).clock(clock.clone()), SessionLayerBuilder::observe);
    settings(builder).build().unwrap()
}

/// The traces of this thread: level, target, the surrounding spans and the fields.
#[derive(Clone, Default)]
pub(crate) struct Traced(Arc<Mutex<Vec<String>>>);

/// Stops recording when dropped.
pub(crate) struct Kept;

thread_local! {
    static TRACED: RefCell<Option<Traced>> = const { RefCell::new(None) };
    static AROUND: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// All traces of this process, at any level: events, spans and their fields.
pub(crate) static EVERYTHING: Mutex<String> = Mutex::new(String::new());

static SPANS: Mutex<Option<HashMap<u64, String>>> = Mutex::new(None);

impl Traced {
    /// Records this thread's traces until the guard is dropped.
    pub(crate) fn keep() -> (Self, Kept) {
        trace_everything();
        let traced = Self::default();
        TRACED.set(Some(traced.clone()));
        (traced, Kept)
    }

    /// Returns the traces since the last call whose target begins with `target`.
    pub(crate) fn all(&self, target: &str) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.retain(|line| line.split(' ').nth(1).unwrap().starts_with(target));
        lines
    }
}

pub(crate) fn trace_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Keeper).unwrap());
}

impl Drop for Kept {
    fn drop(&mut self) {
        TRACED.set(None);
    }
}

/// One subscriber serves all threads. With several, `tracing` would cache for good that a callsite is disabled once a
/// thread without a subscriber has reached it.
struct Keeper;

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, " {value:?}").unwrap();
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    /// Includes its causes, as a log with full errors writes them.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {}={value} {value:?}", field.name()).unwrap();
        let mut source = value.source();
        while let Some(cause) = source {
            write!(self.0, " / {cause} {cause:?}").unwrap();
            source = cause.source();
        }
    }
}

fn note(text: &str) {
    let mut everything = EVERYTHING.lock().unwrap();
    everything.push_str(text);
    everything.push('\n');
}

impl Subscriber for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut text = Text::default();
        attributes.record(&mut text);
        let metadata = attributes.metadata();
        note(&format!("span {} {} {}{}", metadata.level(), metadata.target(), metadata.name(), text.0));
        let text = format!("{}{{{}}}", metadata.name(), text.0.trim());
        SPANS.lock().unwrap().get_or_insert_default().insert(id, text);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, values: &Values<'_>) {
        let mut text = Text::default();
        values.record(&mut text);
        note(&text.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        note(&format!("{level} {target}{}", text.0));
        let Some(traced) = TRACED.with_borrow(Option::clone) else { return };
        let spans = SPANS.lock().unwrap();
        let around = AROUND.with_borrow(|around| {
            let names = around.iter().filter_map(|id| spans.as_ref()?.get(id));
            names.filter(|name| name.starts_with("session ")).fold(String::new(), |all, name| all + " " + name + ":")
        });
        traced.0.lock().unwrap().push(format!("{level} {target}{around}{}", text.0));
    }

    fn enter(&self, id: &Id) {
        AROUND.with_borrow_mut(|around| around.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        AROUND.with_borrow_mut(|around| {
            if let Some(at) = around.iter().rposition(|entered| *entered == id.into_u64()) {
                around.remove(at);
            }
        });
    }
}
