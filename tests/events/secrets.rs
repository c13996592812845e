//! No token appears in anything that can be observed (compare CVE-2023-20866 of Spring Session).

use std::{
    collections::BTreeSet,
    error::Error as StdError,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use http::StatusCode;
use metrics_util::debugging::DebuggingRecorder;
use session_layer::{
    CachedStore, Clock, DamagedPolicy, DynStore, EncryptedStore, Error, Event, EventKind, FileStore, LazySession,
    MemcachedStore, MemoryStore, MetricsObserver, ObservedStore, Observer, Session, SessionLayer,
    conformance::{
        Operation,
        fault::{Fault, FaultStore},
    },
    events::Outcome,
    store::{CacheConfig, StoreErrorKind},
};

#[cfg(feature = "redis")]
use crate::redis::{Product, Server};
use crate::{memcached::Memcached, support::*};

/// All observable output, as text.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<String>>);

impl Shown {
    fn debug(&self, shown: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{shown:?} {shown:#?}").unwrap();
    }

    /// Adds an error with all its causes, as `Display` and `Debug`.
    fn error(&self, error: &dyn StdError) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            writeln!(self.0.lock().unwrap(), "{error} {error:?} {error:#?}").unwrap();
            cause = error.source();
        }
    }
}

impl Observer for Shown {
    fn observe(&self, event: &Event<'_>) {
        self.debug(event);
        match event.kind {
            EventKind::WriteBlocked { error, .. } | EventKind::CommitFailed { error, .. } => self.error(error),
            EventKind::Damaged { error, .. }
            | EventKind::LoadFailed { error, .. }
            | EventKind::TouchFailed { error, .. }
            | EventKind::NotOpened { error, .. }
            | EventKind::Operation { outcome: Outcome::Failed(error), .. } => self.error(error),
            _ => {}
        }
    }
}

/// Splits a text into parts. Any piece of twice that length contains at least one of them.
fn parts(text: &str, length: usize) -> impl Iterator<Item = String> {
    let chunks = text.as_bytes().chunks_exact(length);
    chunks.map(|part| String::from_utf8(part.to_vec()).unwrap()).collect::<Vec<_>>().into_iter()
}

/// Returns the forms in which a token and its signature could be written: as in the cookie, as bytes, in hexadecimal,
/// in the other base64 alphabet, as a list of numbers. Parts count as well, since half a token is a leak.
fn forms(cookie: &str) -> Vec<String> {
    let value = cookie.split_once('=').unwrap().1;
    let mut forms = Vec::new();
    // A signed value consists of the token, a key's id, and the signature.
    for secret in [&value[..32], &value[value.len() - 32..]] {
        let bytes = Base64UrlUnpadded::decode_vec(secret).unwrap();
        assert_eq!(bytes.len(), 24);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
        forms.extend(parts(secret, 8).chain(parts(&hex, 12)).chain(parts(&hex.to_uppercase(), 12)));
        forms.extend(parts(&Base64::encode_string(&bytes), 8));
        forms.extend(list.chunks(6).map(|numbers| numbers.join(", ")));
        for list in [format!("{bytes:x?}"), format!("{bytes:02x?}"), format!("{bytes:X?}")] {
            let numbers: Vec<_> = list.trim_matches(['[', ']']).split(", ").collect();
            forms.extend(numbers.chunks(6).map(|numbers| numbers.join(", ")));
        }
        forms.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    forms
}

fn found(shown: &str, cookies: &[String]) -> Vec<String> {
    let forms: BTreeSet<_> = cookies.iter().flat_map(|cookie| forms(cookie)).collect();
    forms.into_iter().filter(|form| shown.contains(form)).collect()
}

/// A visit with every kind of failure over this store. Returns the output, and every session cookie that was set.
async fn journey(store: DynStore, clock: &Clock, shown: &Shown, signed: bool) -> Vec<String> {
    let faulty = FaultStore::new(store);
    let builder = SessionLayer::builder(ObservedStore::new(faulty.clone(), shown.clone()))
        .clock(clock.clone())
        .observe(shown.clone())
        .observe(MetricsObserver::new());
    let builder = if signed { builder.sign(ring()) } else { builder };
    let layer = builder.build().unwrap();
    let mut ada = Browser::new(layer.clone());
    let look = shown.clone();
    ada.visit(async move |session: Session| {
        session.insert("n", 1)?;
        look.debug(&session);
        Ok::<_, Error>(())
    })
    .await;
    let look = shown.clone();
    ada.visit(async move |lazy: LazySession, request: axum::extract::Request| {
        look.debug(&lazy);
        look.debug(request.extensions());
        look.debug(&lazy.session().await.unwrap());
    })
    .await;
    let old = ada.cookie.clone().unwrap();
    ada.visit(async |session: Session| session.login("ada")).await;
    send(&layer, &[&old], async |_: Session| ()).await;
    ada.visit(async |session: Session| session.renew()).await;
    let sessions = layer.sessions();
    ada.visit(async move |session: Session| {
        sessions.merge(&session.id().unwrap(), [("a", 1)]).await?;
        session.insert("b", 2)
    })
    .await;
    // The response itself: it contains the cookie, and its `Debug` doesn't show it.
    let response = send(&layer, &[], async |session: Session| session.insert("n", 1)).await;
    shown.debug(&response);
    let second = set_cookie(&response).unwrap();
    send(&layer, &[ada.cookie.as_deref().unwrap(), &second], async |_: Session| ()).await;
    for wrong in [format!("{second}x"), second.replace("sid=", "sid=x"), second[..second.len() - 1].to_owned() + "A"] {
        send(&layer, &[&wrong], async |_: Session| ()).await;
    }
    // The client's error response, and the error that a handler may log.
    let faults = [
        (Operation::Load, StoreErrorKind::Unavailable),
        (Operation::Load, StoreErrorKind::Corrupt),
        (Operation::Update, StoreErrorKind::Timeout),
        (Operation::Update, StoreErrorKind::OutcomeUnknown),
        (Operation::Rename, StoreErrorKind::Other),
        (Operation::End, StoreErrorKind::Unavailable),
    ];
    for (operation, kind) in faults {
        faulty.inject(Fault::error(kind).on(operation));
        let look = shown.clone();
        ada.visit(async move |session: Result<Session, Error>| {
            let session = session.inspect_err(|error| look.error(error)).map_err(|_| StatusCode::BAD_GATEWAY)?;
            let _ = session.insert("n", format!("{operation:?}")).inspect_err(|error| look.error(error));
            match operation {
                Operation::Rename => session.login("ada").unwrap(),
                Operation::End => session.destroy().unwrap(),
                _ => {}
            }
            let _ = session.save().await.inspect_err(|error| look.error(error));
            look.debug(&session);
            Ok::<_, StatusCode>(())
        })
        .await;
        faulty.heal();
    }
    // No handler saves this, so the layer itself reports the failure.
    faulty.inject(Fault::unavailable().on(Operation::Create).on(Operation::Update));
    ada.visit(async |session: Session| session.insert("n", "unsaved")).await;
    faulty.heal();
    let starting_over = SessionLayer::builder(faulty.clone()).damaged_policy(DamagedPolicy::StartOver).build().unwrap();
    shown.debug(&starting_over);
    shown.debug(&layer);
    shown.debug(&layer.sessions());
    let other = layer.new_session();
    other.login("ada").unwrap();
    other.save().await.unwrap();
    let line = layer.request_cookie(&other).unwrap();
    shown.debug(&line);
    shown.debug(&other);
    layer.sessions().revoke_all("ada").await.unwrap();
    ada.visit(async |session: Session| session.insert("n", 1)).await;
    ada.visit(async |session: Session| session.destroy()).await;
    let _ = layer.sessions().sweep().await;
    layer.sessions().close().await.unwrap();
    let mut issued = ada.issued;
    issued.extend([second, line.to_str().unwrap().to_owned()]);
    issued
}

/// Runs the visit over a store, signed and unsigned, with traces at TRACE, observers and metrics, and searches the
/// output.
async fn look_through<S: Future<Output = DynStore>>(open: impl Fn(Clock, Shown) -> S) -> Vec<String> {
    trace_everything();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let shown = Shown::default();
    let mut issued = Vec::new();
    for signed in [false, true] {
        let clock = Clock::system();
        let store = open(clock.clone(), shown.clone()).await;
        shown.debug(&store);
        issued.extend(journey(store, &clock, &shown, signed).await);
    }
    assert!(issued.len() > 10, "{} cookies", issued.len());
    let mut all = shown.0.lock().unwrap().clone();
    let traced = EVERYTHING.lock().unwrap().clone();
    for must in ["session created", "session renewed", "span DEBUG session_layer::session session commit"] {
        assert!(traced.contains(must), "{must}: it is listened to");
    }
    for must in ["ChangesDropped", "CommitFailed"] {
        assert!(all.contains(must), "{must}: events are shown");
    }
    all.push_str(&traced);
    writeln!(all, "{:?}", snapshotter.snapshot().into_vec()).unwrap();
    assert!(all.contains("db.client.operation.duration"), "metrics are shown");
    assert_eq!(found(&all, &issued), Vec::<String>::new());
    // A control: the search finds a token that is present.
    for cookie in &issued {
        let value = cookie.split_once('=').unwrap().1;
        assert!(!found(&format!("a log with {} in it", &value[3..20]), std::slice::from_ref(cookie)).is_empty());
    }
    issued
}

#[tokio::test]
async fn no_token_is_shown_over_memory() {
    look_through(async |clock, shown| {
        DynStore::new(MemoryStore::builder().clock(clock).observe(shown).open().unwrap())
    })
    .await;
}

#[tokio::test]
async fn no_token_is_shown_over_files() {
    let dir = tempfile::tempdir().unwrap();
    look_through(async |clock, shown| {
        DynStore::new(FileStore::builder(dir.path()).clock(clock).observe(shown).open().await.unwrap())
    })
    .await;
}

#[tokio::test]
async fn no_token_is_shown_over_memcached() {
    let server = Memcached::start(&[]);
    let open = async |_, _| DynStore::new(MemcachedStore::builder().servers([server.address()]).build().unwrap());
    look_through(open).await;
}

/// Nor is any stored: the server writes all that it is told into its file.
#[cfg(feature = "redis")]
#[tokio::test]
async fn no_token_is_shown_or_stored_over_redis() {
    for product in Product::ALL {
        let server = Server::start(product, &["--appendonly", "yes"]);
        let open =
            async |_, _| DynStore::new(session_layer::RedisStore::builder().server(server.address()).build().unwrap());
        let issued = look_through(open).await;
        let files = std::fs::read_dir(server.folder().join("appendonlydir")).unwrap();
        let stored: Vec<_> = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        let stored = String::from_utf8_lossy(&stored);
        assert!(stored.contains("session:{") && stored.contains(":epoch"), "{product:?}: the sessions are stored");
        assert_eq!(found(&stored, &issued), Vec::<String>::new(), "{product:?}");
    }
}

#[tokio::test]
async fn no_token_is_shown_over_sealed_records() {
    look_through(async |clock, shown: Shown| {
        let inner = MemoryStore::builder().clock(clock).observe(shown.clone()).open().unwrap();
        DynStore::new(EncryptedStore::new(inner, ring()).observe(shown))
    })
    .await;
}

#[tokio::test]
async fn no_token_is_shown_over_cached_and_sealed_files() {
    let dir = tempfile::tempdir().unwrap();
    look_through(async |clock: Clock, shown: Shown| {
        let inner = FileStore::builder(dir.path()).clock(clock.clone()).open().await.unwrap();
        let sealed = EncryptedStore::new(inner, ring()).observe(shown.clone());
        let settings = CacheConfig::new().clock(clock).observe(shown);
        DynStore::new(CachedStore::with_config(sealed, settings))
    })
    .await;
}
