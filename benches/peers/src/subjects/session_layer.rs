//! This crate.

use std::{hint::black_box, path::Path};

use axum::{
    Router,
    extract::{Path as Segment, State},
    routing::get,
};
use session_layer::{CachedStore, EncryptedStore, Error, FileStore, Key, KeyRing, MemoryStore, Session, SessionLayer};

use super::Kind;
use crate::{
    gate::{Gate, RACERS},
    reference::{CSRF, Item, User, cart, user},
};

const USER: Key<User> = Key::new("user");
const CART: Key<Vec<Item>> = Key::new("cart");
const N: Key<u64> = Key::new("n");

type Answer<T = &'static str> = Result<T, Error>;

pub(crate) async fn router(kind: Kind, directory: Option<&Path>, gate: Gate) -> Router {
    let layer = match kind {
        Kind::Sealed => {
            let ring = KeyRing::from_lines("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=").expect("a good secret");
            SessionLayer::new(EncryptedStore::new(memory(), ring))
        }
        Kind::Cached => SessionLayer::new(CachedStore::new(file(directory).await)),
        Kind::File => SessionLayer::new(file(directory).await),
        _ => SessionLayer::new(memory()),
    };
    Router::new()
        .route("/untouched", get(async || "ok"))
        .route("/seed", get(seed))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/create", get(create))
        .route("/key/{key}", get(key))
        .route("/increment", get(increment))
        .route("/slow", get(slow))
        .route("/logout", get(logout))
        .route("/keys", get(keys))
        .route("/n", get(n))
        .route("/user", get(has_user))
        .layer(layer)
        .with_state(gate)
}

/// Without the default bound on sessions, as the others are.
fn memory() -> MemoryStore {
    MemoryStore::builder().capacity(10_000_000).bytes(1 << 36).open().expect("good settings")
}

async fn file(directory: Option<&Path>) -> FileStore {
    FileStore::open(directory.expect("the subject has one")).await.expect("a temporary directory")
}

async fn seed(session: Session) -> Answer {
    session.insert(USER, &user())?;
    session.insert(CART, &cart())?;
    session.insert("csrf", CSRF)?;
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

async fn key(State(gate): State<Gate>, Segment(key): Segment<String>, session: Session) -> Answer {
    gate.all_loaded().await;
    session.insert(&*key, &true)?;
    Ok("ok")
}

async fn increment(State(gate): State<Gate>, session: Session) -> Answer {
    gate.all_loaded().await;
    session.update(N, |n| *n += 1)?;
    Ok("ok")
}

async fn slow(State(gate): State<Gate>, session: Session) -> Answer {
    gate.work().await;
    session.insert("late", &true)?;
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
