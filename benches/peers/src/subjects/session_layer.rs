//! This crate.

use std::hint::black_box;

use axum::{
    Router,
    extract::{Path, State},
    response::Html,
    routing::get,
};
use session_layer::{
    CachedStore, Durability, EncryptedStore, Error, FileStore, Key, KeyRing, MemcachedStore, MemoryStore, Session,
    SessionLayer,
};

use super::{Kind, subject::Backend};
use crate::{
    app::App,
    content::{Item, User},
    gate::RACERS,
    page::page,
};

const USER: Key<User> = Key::new("user");
const CART: Key<Vec<Item>> = Key::new("cart");
const N: Key<u64> = Key::new("n");

type Answer<T = &'static str> = Result<T, Error>;

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
    routes!().layer(layer).with_state(app)
}

/// A memory store without the default bound on sessions, since the others have none.
fn memory() -> MemoryStore {
    MemoryStore::builder().capacity(10_000_000).bytes(1 << 36).open().expect("good settings")
}

async fn fill(State(app): State<App>, session: Session) -> Answer {
    let content = app.content();
    session.insert(USER, &content.user)?;
    if let Some(cart) = &content.cart {
        session.insert(CART, cart)?;
    }
    if let Some(csrf) = content.csrf {
        session.insert("csrf", csrf)?;
    }
    for (key, value) in &content.more {
        session.insert(key, value)?;
    }
    session.insert(N, &0)?;
    Ok("ok")
}

async fn read(session: Session) -> Answer {
    black_box(session.get(USER)?.expect("it is filled"));
    Ok("ok")
}

async fn write(session: Session) -> Answer {
    let n = session.get(N)?.expect("it is filled");
    session.insert(N, &(n + 1))?;
    Ok("ok")
}

async fn create(session: Session) -> Answer {
    session.insert(N, &1)?;
    Ok("ok")
}

async fn home(session: Session) -> Answer<Html<String>> {
    let visits = session.update(N, |n| {
        *n += 1;
        *n
    })?;
    Ok(Html(page(&session.get(USER)?.expect("it is filled"), &session.get_or_default(CART)?, visits)))
}

async fn cart(session: Session) -> Answer {
    session.update(CART, |cart: &mut Vec<Item>| cart[0].count += 1)?;
    Ok("ok")
}

async fn renew(session: Session) -> Answer {
    session.renew()?;
    Ok("ok")
}

async fn key(State(app): State<App>, Path(key): Path<String>, session: Session) -> Answer {
    app.gate().all_loaded().await;
    session.insert(&*key, true)?;
    Ok("ok")
}

async fn increment(State(app): State<App>, session: Session) -> Answer {
    app.gate().all_loaded().await;
    session.update(N, |n| *n += 1)?;
    Ok("ok")
}

async fn slow(State(app): State<App>, session: Session) -> Answer {
    app.gate().work().await;
    session.insert("late", true)?;
    Ok("ok")
}

async fn logout(session: Session) -> Answer {
    session.destroy()?;
    Ok("ok")
}

async fn keys(session: Session) -> String {
    (0..RACERS).filter(|at| session.contains(format!("k{at}"))).count().to_string()
}

async fn n(session: Session) -> Answer<String> {
    Ok(session.get_or_default(N)?.to_string())
}

async fn has_user(session: Session) -> String {
    u8::from(session.contains("user")).to_string()
}
