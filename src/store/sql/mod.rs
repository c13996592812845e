//! Sessions in a table of PostgreSQL, MySQL, MariaDB or SQLite.
//!
//! [`SqlStore`] documents the store's guarantees, its table and the rights that it needs. Files, from the bottom up:
//! `value`, `events`, `statistics`; `dialect/`, the differences between the databases in the text of a statement;
//! `error`, `statement`, `schema`, `row`, `statements`; `engine/`, which executes statements and contains nothing about
//! sessions; `store` with `operations`, `epoch`, `lease` and `sweep`; `contract` and `capabilities`, which implement
//! the store's traits with these; `builder`.

mod builder;
mod capabilities;
mod contract;
mod dialect;
mod engine;
mod epoch;
#[cfg_attr(
    not(all(feature = "postgres", feature = "mysql", feature = "sqlite")),
    allow(dead_code, reason = "what is needed depends on the databases that are compiled in")
)]
mod error;
mod events;
mod lease;
mod operations;
#[cfg_attr(
    not(all(feature = "postgres", feature = "mysql", feature = "sqlite")),
    allow(dead_code, reason = "what is needed depends on the databases that are compiled in")
)]
mod row;
mod schema;
mod statement;
#[cfg_attr(
    not(all(feature = "postgres", feature = "mysql", feature = "sqlite")),
    allow(dead_code, reason = "what is needed depends on the databases that are compiled in")
)]
mod statements;
mod statistics;
mod store;
mod sweep;
#[cfg_attr(
    not(all(feature = "postgres", feature = "mysql", feature = "sqlite")),
    allow(dead_code, reason = "what is needed depends on the databases that are compiled in")
)]
mod value;

pub use self::{builder::SqlStoreBuilder, error::SqlStoreError, statistics::SqlStatistics, store::SqlStore};
