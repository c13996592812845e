//! The subjects over HTTP: a router with each library's Redis store.

use std::time::Duration;

use axum::Router;
use axum_session::{SessionConfig, SessionStore};
use axum_session_redispool::SessionRedisPool;
use bench_support::{app::App, handlers, shape::Shape};
use clap::ValueEnum;
use redis_pool::RedisPool;
use session_layer::{CachedStore, RedisStore, SessionLayer, store::RedisStoreBuilder};
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};

use crate::bare::BareRedis;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// This crate. Every request queries the server.
    SessionLayer,
    TowerSessions,
    /// axum_session without sessions kept in memory. Every request queries the server.
    AxumSession,
    /// This crate with a cache that relies on `tracking`: it serves a session without a query until the server reports
    /// that the session may have changed.
    Tracked,
    /// No session library, but bare commands, which compare a version before they write: the lowest possible cost.
    Bare,
    /// axum_session with its defaults: sessions stay in the process's memory, and only writes go to the server.
    AxumSessionKept,
}

pub(crate) const ALL: [Subject; 6] = [
    Subject::SessionLayer,
    Subject::TowerSessions,
    Subject::AxumSession,
    Subject::Tracked,
    Subject::Bare,
    Subject::AxumSessionKept,
];

/// The window of `tracking`: how long an answer from the server proves that its messages arrive.
const WINDOW: Duration = Duration::from_secs(1);

/// The size of fred's pool, as in the example of its session store.
const POOL: usize = 6;

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SessionLayer => "session-layer, RedisStore",
            Self::TowerSessions => "tower-sessions 0.14, tower-sessions-redis-store 0.16",
            Self::AxumSession => "axum_session 0.22, axum_session_redispool 0.13, nothing kept",
            Self::Tracked => "session-layer, RedisStore, cached, with `tracking`",
            Self::Bare => "bare commands",
            Self::AxumSessionKept => "axum_session 0.22, axum_session_redispool 0.13, kept in memory",
        }
    }

    /// The peers that a subject of this crate, or the bare commands, are compared with: those that query the server at each request, and so see
    /// the changes of other processes.
    pub(crate) fn peers(self) -> &'static [Self] {
        match self {
            Self::SessionLayer | Self::Tracked | Self::Bare => &[Self::TowerSessions, Self::AxumSession],
            _ => &[],
        }
    }

    /// The subject's name on a command line.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(crate) async fn router(self, port: u16, connections: Option<usize>) -> Router {
        let app = App::new(Shape::Reference);
        match self {
            Self::SessionLayer => handlers::session_layer::router(SessionLayer::new(store(port, connections)), app),
            Self::Tracked => {
                let store =
                    CachedStore::new(builder(port, connections).tracking(WINDOW).build().expect("good settings"));
                handlers::session_layer::router(SessionLayer::new(store), app)
            }
            Self::Bare => handlers::bare::router(BareRedis::connect(&url(port)).await),
            Self::TowerSessions => {
                let config = Config::from_url(&url(port)).expect("an address");
                let pool = Pool::new(config, None, None, None, POOL).expect("good settings");
                pool.connect();
                pool.wait_for_connect().await.expect("the server listens");
                handlers::tower_sessions::of_moka::router(tower_sessions_redis_store::RedisStore::new(pool), app)
            }
            Self::AxumSession => {
                let config = SessionConfig::default().with_memory_lifetime(time::Duration::ZERO);
                handlers::axum_session::router(kept(config, port).await, app)
            }
            Self::AxumSessionKept => handlers::axum_session::router(kept(SessionConfig::default(), port).await, app),
        }
    }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// This crate's store.
pub(crate) fn store(port: u16, connections: Option<usize>) -> RedisStore {
    builder(port, connections).build().expect("good settings")
}

fn builder(port: u16, connections: Option<usize>) -> RedisStoreBuilder {
    // A long limit, so that a machine that is busy for a while doesn't end the benchmark.
    let builder = RedisStore::builder().server(format!("127.0.0.1:{port}")).request_timeout(Duration::from_secs(30));
    if let Some(connections) = connections { builder.connections(connections) } else { builder }
}

async fn kept(config: SessionConfig, port: u16) -> SessionStore<SessionRedisPool> {
    let pool = RedisPool::from(redis::Client::open(url(port)).expect("an address"));
    SessionStore::new(Some(pool.into()), config).await.expect("the server listens")
}
