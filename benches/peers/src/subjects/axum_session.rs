//! axum_session without a database.

use std::hint::black_box;

use ::axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use axum::{
    Router,
    extract::{Path, State},
    response::Html,
    routing::get,
};

use crate::{
    app::App,
    content::{Item, User},
    gate::RACERS,
    page::page,
};

type InMemory = Session<SessionNullPool>;

pub(crate) async fn router(app: App) -> Router {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await.expect("good settings");
    routes!().layer(SessionLayer::new(store)).with_state(app)
}

async fn fill(State(app): State<App>, session: InMemory) -> &'static str {
    let content = app.content();
    session.set("user", &content.user);
    if let Some(cart) = &content.cart {
        session.set("cart", cart);
    }
    if let Some(csrf) = content.csrf {
        session.set("csrf", csrf);
    }
    for (key, value) in &content.more {
        session.set(key, value);
    }
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

async fn home(session: InMemory) -> Html<String> {
    let visits = session.get::<u64>("n").unwrap_or_default() + 1;
    session.set("n", visits);
    let user = session.get::<User>("user").expect("it is filled");
    Html(page(&user, &session.get::<Vec<Item>>("cart").unwrap_or_default(), visits))
}

async fn cart(session: InMemory) -> &'static str {
    let mut cart = session.get::<Vec<Item>>("cart").unwrap_or_default();
    cart[0].count += 1;
    session.set("cart", &cart);
    "ok"
}

async fn renew(session: InMemory) -> &'static str {
    session.renew();
    "ok"
}

async fn key(State(app): State<App>, Path(key): Path<String>, session: InMemory) -> &'static str {
    app.gate().all_loaded().await;
    session.set(&key, true);
    "ok"
}

async fn increment(State(app): State<App>, session: InMemory) -> &'static str {
    app.gate().all_loaded().await;
    let n = session.get::<u64>("n").unwrap_or_default();
    session.set("n", n + 1);
    "ok"
}

async fn slow(State(app): State<App>, session: InMemory) -> &'static str {
    app.gate().work().await;
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
