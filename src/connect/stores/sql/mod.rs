//! `postgres://`, `mysql://` and `sqlite:`.
//!
//! - `server`: the user, the server and the database of a URL; `settings`: the options that all of them take.
//! - `postgres`, `mysql`, `sqlite`: what is particular to one.

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
