//! One of them, ready for requests.

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

/// A router, a cookie of a session that is filled, and what its store needs.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) router: Router,
    pub(crate) cookie: HeaderValue,
    pub(crate) app: App,
    /// The same over the same store, but for what makes many sessions slow to make.
    pub(crate) filler: Router,
    _backend: Backend,
}

/// What ends with the subject.
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
            // A sync for each of a million files takes hours on some disks.
            Cached | File => session_layer::router(File, &backend, Durability::None, app.clone()).await,
            _ => router.clone(),
        };
        let cookie = fill(&router).await;
        Self { kind, router, cookie, app, filler, _backend: backend }
    }
}

/// A new visitor's filled session: the cookie that names it. Who has no sessions gets a cookie of the same size.
pub(crate) async fn fill(router: &Router) -> HeaderValue {
    let response = get(router, "/fill", None).await;
    assert!(response.status().is_success(), "filling answered {}", response.status());
    set_cookies(response.headers().get_all(header::SET_COOKIE).iter())
        .unwrap_or(HeaderValue::from_static("__Host-sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
}
