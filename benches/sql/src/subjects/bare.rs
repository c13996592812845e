//! Bare statements by key, over the same kind of pool: the lowest possible cost of a session. A read decodes a whole
//! session, and a write replaces it if its version is the one that was read.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::CONNECTIONS;
use bench_support::{
    content::{Content, Item, User},
    shape::Shape,
};

#[derive(Serialize, Deserialize)]
struct Stored {
    user: User,
    cart: Vec<Item>,
    csrf: String,
    n: u64,
}

/// The statements, the same for both databases.
const SELECT: &str = "SELECT version, record FROM bare WHERE id = $1";
const UPDATE: &str = "UPDATE bare SET version = $1, record = $2 WHERE id = $3 AND version = $4";
const INSERT: &str = "INSERT INTO bare (id, version, record) VALUES ($1, $2, $3)";

pub(super) async fn postgres(url: &str) -> Router {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = options.connect(url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE bare (id BYTEA PRIMARY KEY, version BYTEA NOT NULL, record BYTEA NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    over_postgres::routes().with_state(pool)
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE bare (id BLOB PRIMARY KEY, version BLOB NOT NULL, record BLOB NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    over_sqlite::routes().with_state(pool)
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
    let cookie = headers.get(header::COOKIE).expect("a visitor with a session").to_str().unwrap();
    let hex = cookie.strip_prefix("id=").expect("the only cookie");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn set_cookie(id: &[u8]) -> HeaderValue {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("id={hex}; HttpOnly; Path=/")).unwrap()
}

fn session(n: u64) -> Vec<u8> {
    let content = Content::of(Shape::Reference);
    let (cart, csrf) = (content.cart.unwrap_or_default(), content.csrf.unwrap_or_default().to_owned());
    serde_json::to_vec(&Stored { user: content.user, cart, csrf, n }).unwrap()
}

macro_rules! over {
    ($name:ident, $pool:ident) => {
        mod $name {
            use super::*;

            pub(super) fn routes() -> Router<$pool> {
                Router::new()
                    .route("/fill", get(fill))
                    .route("/read", get(read))
                    .route("/write", get(write))
                    .route("/create", get(create))
            }

            type Visitor = ([(header::HeaderName, HeaderValue); 1], &'static str);

            async fn insert(pool: &$pool, record: Vec<u8>) -> Visitor {
                let id = fresh();
                sqlx::query(INSERT).bind(&id).bind(fresh()).bind(record).execute(pool).await.unwrap();
                ([(header::SET_COOKIE, set_cookie(&id))], "ok")
            }

            async fn fill(State(pool): State<$pool>) -> Visitor {
                insert(&pool, session(0)).await
            }

            async fn select(pool: &$pool, id: &[u8]) -> (Vec<u8>, Vec<u8>) {
                sqlx::query_as(SELECT).bind(id.to_vec()).fetch_one(pool).await.unwrap()
            }

            async fn read(State(pool): State<$pool>, headers: HeaderMap) -> &'static str {
                let (_, record) = select(&pool, &id(&headers)).await;
                black_box(serde_json::from_slice::<Stored>(&record).unwrap());
                "ok"
            }

            async fn write(State(pool): State<$pool>, headers: HeaderMap) -> &'static str {
                let id = id(&headers);
                let (version, record) = select(&pool, &id).await;
                let mut stored: Stored = serde_json::from_slice(&record).unwrap();
                stored.n += 1;
                let record = serde_json::to_vec(&stored).unwrap();
                let update = sqlx::query(UPDATE).bind(fresh()).bind(record).bind(id).bind(version);
                assert_eq!(update.execute(&pool).await.unwrap().rows_affected(), 1);
                "ok"
            }

            async fn create(State(pool): State<$pool>) -> Visitor {
                insert(&pool, br#"{"n":1}"#.to_vec()).await
            }
        }
    };
}

over!(over_postgres, PgPool);
over!(over_sqlite, SqlitePool);
