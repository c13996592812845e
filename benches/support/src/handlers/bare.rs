//! Handlers without a session library: the lowest possible cost of a session in a database. A read decodes a whole session,
//! and a write replaces it if its version is the one that was read. Only the routes that such benches measure.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Router, extract::State, routing::get};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::{
    content::{Content, Item, User},
    shape::Shape,
};

/// A database, and the fewest statements for a session in it.
pub trait Bare: Clone + Send + Sync + 'static {
    fn insert(&self, id: Vec<u8>, version: Vec<u8>, record: Vec<u8>) -> impl Future<Output = ()> + Send;

    /// Returns the version and the record.
    fn select(&self, id: Vec<u8>) -> impl Future<Output = (Vec<u8>, Vec<u8>)> + Send;

    /// Replaces the record if the version is the one before, and returns whether it was.
    fn update(
        &self,
        id: Vec<u8>,
        before: Vec<u8>,
        version: Vec<u8>,
        record: Vec<u8>,
    ) -> impl Future<Output = bool> + Send;
}

pub fn router<B: Bare>(database: B) -> Router {
    Router::new()
        .route("/fill", get(fill::<B>))
        .route("/read", get(read::<B>))
        .route("/write", get(write::<B>))
        .route("/create", get(create::<B>))
        .with_state(database)
}

#[derive(Serialize, Deserialize)]
struct Session {
    user: User,
    cart: Vec<Item>,
    csrf: String,
    n: u64,
}

type Visitor = ([(HeaderName, HeaderValue); 1], &'static str);

async fn insert(database: &impl Bare, record: Vec<u8>) -> Visitor {
    let id = fresh();
    database.insert(id.clone(), fresh(), record).await;
    ([(header::SET_COOKIE, set_cookie(&id))], "ok")
}

async fn fill<B: Bare>(State(database): State<B>) -> Visitor {
    insert(&database, filled()).await
}

async fn create<B: Bare>(State(database): State<B>) -> Visitor {
    insert(&database, br#"{"n":1}"#.to_vec()).await
}

async fn read<B: Bare>(State(database): State<B>, headers: HeaderMap) -> &'static str {
    let (_, record) = database.select(id(&headers)).await;
    black_box(serde_json::from_slice::<Session>(&record).expect("a session"));
    "ok"
}

async fn write<B: Bare>(State(database): State<B>, headers: HeaderMap) -> &'static str {
    let id = id(&headers);
    let (version, record) = database.select(id.clone()).await;
    let mut session: Session = serde_json::from_slice(&record).expect("a session");
    session.n += 1;
    let record = serde_json::to_vec(&session).expect("plain data");
    assert!(database.update(id, version, fresh(), record).await, "each session has one visitor");
    "ok"
}

/// Returns an id or a version. They are unique but not random, which is enough for a measurement.
fn fresh() -> Vec<u8> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Spread evenly, like random ones.
    let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [spread.to_le_bytes(), count.to_le_bytes()].concat()
}

fn id(headers: &HeaderMap) -> Vec<u8> {
    let cookie = headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok());
    let hex = cookie.and_then(|cookie| cookie.strip_prefix("id=")).expect("a visitor with a session");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn set_cookie(id: &[u8]) -> HeaderValue {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("id={hex}; HttpOnly; Path=/")).expect("ASCII")
}

fn filled() -> Vec<u8> {
    let content = Content::of(Shape::Reference);
    let (cart, csrf) = (content.cart.unwrap_or_default(), content.csrf.unwrap_or_default().to_owned());
    serde_json::to_vec(&Session { user: content.user, cart, csrf, n: 0 }).expect("plain data")
}
