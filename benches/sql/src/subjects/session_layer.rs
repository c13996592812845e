//! This crate.

use std::hint::black_box;

use axum::{Router, routing::get};
use session_layer::{Error, Key, Session, SessionLayer, SqlStore};
use sqlx::postgres::PgPoolOptions;

use super::{CONNECTIONS, Kind};
use bench_support::{
    content::{Content, Item, User},
    shape::Shape,
};

const USER: Key<User> = Key::new("user");
const CART: Key<Vec<Item>> = Key::new("cart");
const N: Key<u64> = Key::new("n");

type Answer = Result<&'static str, Error>;

pub(super) async fn router(kind: Kind, place: &str) -> Router {
    let builder = match kind {
        Kind::OwnSqlite => SqlStore::sqlite(place),
        Kind::OwnOverAPool => {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(place).await.unwrap();
            SqlStore::postgres(pool)
        }
        _ => SqlStore::postgres_with(place.parse().unwrap(), CONNECTIONS),
    };
    routes!().layer(SessionLayer::new(builder.create().await.unwrap()))
}

async fn fill(session: Session) -> Answer {
    let content = Content::of(Shape::Reference);
    session.insert(USER, &content.user)?;
    session.insert(CART, &content.cart.unwrap_or_default())?;
    session.insert("csrf", content.csrf.unwrap_or_default())?;
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
