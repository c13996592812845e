//! axum_session without a database.

use std::hint::black_box;

use ::axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};

use crate::{
    gate::{Gate, RACERS},
    reference::{CSRF, User, cart, user},
};

type InMemory = Session<SessionNullPool>;

pub(crate) async fn router(gate: Gate) -> Router {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await.expect("good settings");
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
        .layer(SessionLayer::new(store))
        .with_state(gate)
}

async fn seed(session: InMemory) -> &'static str {
    session.set("user", user());
    session.set("cart", cart());
    session.set("csrf", CSRF);
    session.set("n", 0);
    "ok"
}

async fn read(session: InMemory) -> &'static str {
    black_box(session.get::<User>("user").expect("it is filled"));
    "ok"
}

async fn write(session: InMemory) -> &'static str {
    let n = session.get::<u64>("n").expect("it is filled");
    session.set("n", n + 1);
    "ok"
}

async fn create(session: InMemory) -> &'static str {
    session.set("n", 1);
    "ok"
}

async fn key(State(gate): State<Gate>, Path(key): Path<String>, session: InMemory) -> &'static str {
    gate.all_loaded().await;
    session.set(&key, true);
    "ok"
}

async fn increment(State(gate): State<Gate>, session: InMemory) -> &'static str {
    gate.all_loaded().await;
    let n = session.get::<u64>("n").unwrap_or_default();
    session.set("n", n + 1);
    "ok"
}

async fn slow(State(gate): State<Gate>, session: InMemory) -> &'static str {
    gate.work().await;
    session.set("late", true);
    "ok"
}

async fn logout(session: InMemory) -> &'static str {
    session.destroy();
    "ok"
}

async fn keys(session: InMemory) -> String {
    (0..RACERS).filter(|at| session.get::<bool>(&format!("k{at}")).is_some()).count().to_string()
}

async fn n(session: InMemory) -> String {
    session.get::<u64>("n").unwrap_or_default().to_string()
}

async fn has_user(session: InMemory) -> String {
    u8::from(session.get::<User>("user").is_some()).to_string()
}
