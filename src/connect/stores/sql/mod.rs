//! `postgres://`, `mysql://` and `sqlite:`.
//!
//! - `server`: the user, the server and the database in a URL; `settings`: the options that they all take.
//! - `postgres`, `mysql`, `sqlite`: the scheme and the other options of each database.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub(super) use self::mysql::mysql;
#[cfg(feature = "postgres")]
pub(super) use self::postgres::postgres;
#[cfg(feature = "sqlite")]
pub(super) use self::sqlite::sqlite;
