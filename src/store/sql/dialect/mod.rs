//! What differs between the databases in the text of a statement.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub(super) use self::mysql::MYSQL;
#[cfg(feature = "postgres")]
pub(super) use self::postgres::POSTGRES;
#[cfg(feature = "sqlite")]
pub(super) use self::sqlite::SQLITE;

/// How one database spells what the statements need.
#[derive(Debug)]
pub(super) struct Dialect {
    /// The name in messages.
    pub(super) product: &'static str,
    /// The short name of the store, for events and metrics.
    pub(super) store: &'static str,
    /// What is around a name.
    pub(super) quote: char,
    /// The longest name of a table, in bytes, with room for what is appended to it for an index.
    pub(super) longest_name: usize,
    /// What begins the number of an argument; `None` if arguments have no numbers.
    pub(super) numbered: Option<char>,
    /// What is around the hexadecimal digits of bytes.
    pub(super) bytes: (&'static str, &'static str),
    /// No bytes, with their type.
    pub(super) no_bytes: &'static str,
    /// The smallest and the largest of some values.
    pub(super) least: &'static str,
    pub(super) greatest: &'static str,
    /// Whether an insert can replace a row by `ON CONFLICT`, and a write can return rows by `RETURNING`.
    pub(super) returns: bool,
    /// Whether one statement can write, and then read, by `WITH`. PostgreSQL only.
    pub(super) combines: bool,
    /// How many rows the statement before has written.
    pub(super) row_count: &'static str,
    /// What a `SELECT` of constants with a condition selects from.
    pub(super) from_nothing: &'static str,
    /// Creates the table `{t}` and its indexes `{t_owner}` and `{t_sweep}`.
    pub(super) schema: &'static [&'static str],
    /// What comes before the statements of `schema`, so that several processes can create it at once.
    pub(super) migrating: &'static [&'static str],
    /// Returns the names of the columns of the table: `{name}` is its quoted name, `{table}` and `{in}` are literals.
    pub(super) columns: &'static str,
    /// Removes everything: the first query counts. `{t}` is the table, `{live}` the condition of a live session.
    pub(super) clear: &'static [&'static str],
}
