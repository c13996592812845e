//! The differences between the databases in the text of a statement.

#[expect(clippy::module_inception, reason = "the file has the type `Dialect`")]
mod dialect;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(super) use self::dialect::Dialect;
#[cfg(feature = "mysql")]
pub(super) use self::mysql::MYSQL;
#[cfg(feature = "postgres")]
pub(super) use self::postgres::POSTGRES;
#[cfg(feature = "sqlite")]
pub(super) use self::sqlite::SQLITE;
