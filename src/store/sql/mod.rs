//! Sessions in a table of PostgreSQL, MySQL, MariaDB or SQLite.
//!
//! [`SqlStore`] documents its guarantees, its table and the rights that it needs. Files, from the lowest: `value`, `events`,
//! `statistics`, `dialect/`, what differs between the databases in the text of a statement; `error`, `statement`, `schema`,
//! `row`, `statements`; `engine/`, which carries them out and knows no session; `store` with `operations`, `epoch`,
//! `lease`, `sweep`, and the contract on these: `contract`, `capabilities`; `builder`.

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
