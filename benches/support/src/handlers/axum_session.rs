//! axum_session, without a database or with one.

use std::{fmt::Debug, hint::black_box};

use ::axum_session::{DatabasePool, Session, SessionLayer, SessionStore};
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

/// A database pool, or the one that stands for no database.
pub trait Pool: DatabasePool + Clone + Debug + Send + Sync + 'static {}

impl<P: DatabasePool + Clone + Debug + Send + Sync + 'static> Pool for P {}

pub fn router<P: Pool>(store: SessionStore<P>, app: App) -> Router {
    routes!(P).layer(SessionLayer::new(store)).with_state(app)
}

async fn fill<P: Pool>(State(app): State<App>, session: Session<P>) -> &'static str {
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

async fn read<P: Pool>(session: Session<P>) -> &'static str {
    black_box(session.get::<User>("user").expect("it is filled"));
    "ok"
}

async fn write<P: Pool>(session: Session<P>) -> &'static str {
    let n = session.get::<u64>("n").expect("it is filled");
    session.set("n", n + 1);
    "ok"
}

async fn create<P: Pool>(session: Session<P>) -> &'static str {
    session.set("n", 1);
    "ok"
}

async fn home<P: Pool>(session: Session<P>) -> Html<String> {
    let visits = session.get::<u64>("n").unwrap_or_default() + 1;
    session.set("n", visits);
    let user = session.get::<User>("user").expect("it is filled");
    Html(page(&user, &session.get::<Vec<Item>>("cart").unwrap_or_default(), visits))
}

async fn cart<P: Pool>(session: Session<P>) -> &'static str {
    let mut cart = session.get::<Vec<Item>>("cart").unwrap_or_default();
    cart[0].count += 1;
    session.set("cart", &cart);
    "ok"
}

async fn renew<P: Pool>(session: Session<P>) -> &'static str {
    session.renew();
    "ok"
}

async fn key<P: Pool>(State(app): State<App>, Path(key): Path<String>, session: Session<P>) -> &'static str {
    app.gate().all_loaded().await;
    session.set(&key, true);
    "ok"
}

async fn increment<P: Pool>(State(app): State<App>, session: Session<P>) -> &'static str {
    app.gate().all_loaded().await;
    let n = session.get::<u64>("n").unwrap_or_default();
    session.set("n", n + 1);
    "ok"
}

async fn slow<P: Pool>(State(app): State<App>, session: Session<P>) -> &'static str {
    app.gate().work().await;
    session.set("late", true);
    "ok"
}

async fn logout<P: Pool>(session: Session<P>) -> &'static str {
    session.destroy();
    "ok"
}

async fn keys<P: Pool>(session: Session<P>) -> String {
    (0..RACERS).filter(|at| session.get::<bool>(&format!("k{at}")).is_some()).count().to_string()
}

async fn n<P: Pool>(session: Session<P>) -> String {
    session.get::<u64>("n").unwrap_or_default().to_string()
}

async fn has_user<P: Pool>(session: Session<P>) -> String {
    u8::from(session.get::<User>("user").is_some()).to_string()
}
