//! A subject, ready for requests.

use ::session_layer::Durability;
use axum::Router;
use http::{HeaderValue, header};
use tempfile::TempDir;

use super::{
    Kind::{self, AxumSession, Bare, Cached, Empty, File, Memory, Sealed, TowerMemory, TowerMoka},
    axum_session, none, session_layer, tower_sessions,
};
use crate::{
    app::App,
    call::{get, set_cookies},
    memcached::Memcached,
    shape::Shape,
};

/// A router, the cookie of a filled session, and the store's backend.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) router: Router,
    pub(crate) cookie: HeaderValue,
    pub(crate) app: App,
    /// A router over the same store that creates many sessions faster: without a sync for each file.
    pub(crate) filler: Router,
    _backend: Backend,
}

/// The resources of a subject, released when it is dropped.
#[derive(Debug)]
pub(super) enum Backend {
    Memory,
    Directory(TempDir),
    Server(Memcached),
}

impl Subject {
    pub(crate) async fn new(kind: Kind, shape: Shape) -> Self {
        let app = App::new(shape);
        let backend = match kind {
            Cached | File => Backend::Directory(tempfile::tempdir().expect("a temporary directory")),
            Kind::Memcached => Backend::Server(Memcached::start()),
            _ => Backend::Memory,
        };
        let router = match kind {
            Bare => none::bare(app.clone()),
            Empty => none::empty(app.clone()),
            Memory | Sealed | Cached | File | Kind::Memcached => {
                session_layer::router(kind, &backend, Durability::default(), app.clone()).await
            }
            TowerMemory => tower_sessions::memory(app.clone()),
            TowerMoka => tower_sessions::moka(app.clone()),
            AxumSession => axum_session::router(app.clone()).await,
        };
        let filler = match kind {
            // On some disks, a sync for each of a million files takes hours.
            Cached | File => session_layer::router(File, &backend, Durability::None, app.clone()).await,
            _ => router.clone(),
        };
        let cookie = fill(&router).await;
        Self { kind, router, cookie, app, filler, _backend: backend }
    }
}

/// Fills a new visitor's session and returns its cookie. A subject without sessions gets a cookie of the same size.
pub(crate) async fn fill(router: &Router) -> HeaderValue {
    let response = get(router, "/fill", None).await;
    assert!(response.status().is_success(), "filling answered {}", response.status());
    set_cookies(response.headers().get_all(header::SET_COOKIE).iter())
        .unwrap_or(HeaderValue::from_static("__Host-sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
}
