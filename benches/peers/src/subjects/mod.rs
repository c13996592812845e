//! What is compared: one router each, with the same routes, by each library's own means.
//!
//! | route | what its handler does |
//! |---|---|
//! | `/untouched` | nothing, and asks for no session |
//! | `/seed` | fills the reference session |
//! | `/read` | decodes `user` |
//! | `/write` | reads `n` and writes `n + 1` |
//! | `/create` | sets `n`; its visitor has no cookie |
//! | `/key/{key}` | loads, waits for the other racers, sets the key |
//! | `/increment` | loads, waits for the other racers, adds one to `n` |
//! | `/slow` | loads, works, sets `late` |
//! | `/logout` | ends the session |
//! | `/keys`, `/n`, `/user` | how many of the racers' keys are there, the counter, and whether there is a user |

mod axum_session;
mod none;
mod session_layer;
mod tower_sessions;

use axum::Router;
use http::{HeaderValue, header};
use tempfile::TempDir;

use crate::{
    call::{get, set_cookies},
    gate::Gate,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bare,
    Empty,
    Memory,
    Sealed,
    Cached,
    File,
    TowerMemory,
    TowerMoka,
    AxumSession,
}

use Kind::{AxumSession, Bare, Cached, Empty, File, Memory, Sealed, TowerMemory, TowerMoka};

pub(crate) const ALL: [Kind; 9] = [Bare, Empty, Memory, Sealed, Cached, File, TowerMemory, TowerMoka, AxumSession];
/// Those with sessions.
pub(crate) const WITH_SESSIONS: [Kind; 7] = [Memory, Sealed, Cached, File, TowerMemory, TowerMoka, AxumSession];
/// Those whose sessions are all in this process.
pub(crate) const IN_MEMORY: [Kind; 4] = [Memory, TowerMemory, TowerMoka, AxumSession];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Bare => "bare router",
            Empty => "empty layer",
            Memory => "session-layer, memory",
            Sealed => "session-layer, sealed memory",
            Cached => "session-layer, cached file",
            File => "session-layer, file",
            TowerMemory => "tower-sessions 0.15, memory",
            TowerMoka => "tower-sessions 0.14, moka",
            AxumSession => "axum_session 0.22, memory",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A router, a cookie of a session that is filled, and where its files are.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) router: Router,
    pub(crate) cookie: HeaderValue,
    pub(crate) gate: Gate,
    _directory: Option<TempDir>,
}

impl Subject {
    pub(crate) async fn new(kind: Kind) -> Self {
        let gate = Gate::new();
        let directory = matches!(kind, Cached | File).then(|| tempfile::tempdir().expect("a temporary directory"));
        let path = directory.as_ref().map(TempDir::path);
        let router = match kind {
            Bare => none::bare(gate.clone()),
            Empty => none::empty(gate.clone()),
            Memory | Sealed | Cached | File => session_layer::router(kind, path, gate.clone()).await,
            TowerMemory => tower_sessions::memory(gate.clone()),
            TowerMoka => tower_sessions::moka(gate.clone()),
            AxumSession => axum_session::router(gate.clone()).await,
        };
        let cookie = seed(&router).await;
        Self { kind, router, cookie, gate, _directory: directory }
    }
}

/// A new visitor's filled session: the cookie that names it. Who has no sessions gets a cookie of the same size.
pub(crate) async fn seed(router: &Router) -> HeaderValue {
    let response = get(router, "/seed", None).await;
    assert!(response.status().is_success(), "seeding answered {}", response.status());
    set_cookies(response.headers().get_all(header::SET_COOKIE).iter())
        .unwrap_or(HeaderValue::from_static("__Host-sid=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
}
