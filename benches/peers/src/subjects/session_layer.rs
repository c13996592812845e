//! This crate, over its stores.

use axum::Router;
use bench_support::handlers;
use session_layer::{
    CachedStore, Durability, EncryptedStore, FileStore, KeyRing, MemcachedStore, MemoryStore, SessionLayer,
};

use super::{Kind, subject::Backend};
use crate::app::App;

pub(crate) async fn router(kind: Kind, backend: &Backend, durability: Durability, app: App) -> Router {
    let layer = match backend {
        Backend::Memory if kind == Kind::Sealed => {
            let ring = KeyRing::from_lines("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=").expect("a good secret");
            SessionLayer::new(EncryptedStore::new(memory(), ring))
        }
        Backend::Memory => SessionLayer::new(memory()),
        Backend::Directory(directory) => {
            let files = FileStore::builder(directory.path())
                .durability(durability)
                .open()
                .await
                .expect("a temporary directory");
            if kind == Kind::Cached { SessionLayer::new(CachedStore::new(files)) } else { SessionLayer::new(files) }
        }
        Backend::Server(server) => {
            let store = MemcachedStore::builder().servers([server.address()]).build();
            SessionLayer::new(store.expect("good settings"))
        }
    };
    handlers::session_layer::router(layer, app)
}

/// A memory store without the default bound on sessions, since the others have none.
fn memory() -> MemoryStore {
    MemoryStore::builder().capacity(10_000_000).bytes(1 << 36).open().expect("good settings")
}
