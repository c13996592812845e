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
mod error;
mod events;
mod lease;
mod operations;
mod row;
mod schema;
mod statement;
mod statements;
mod statistics;
mod store;
mod sweep;
mod value;

pub use self::{builder::SqlStoreBuilder, error::SqlStoreError, statistics::SqlStatistics, store::SqlStore};
