//! The differences between the databases in the text of a statement.

/// How one database spells what the statements need.
#[derive(Debug)]
pub(in crate::store::sql) struct Dialect {
    /// The name in messages.
    pub(in crate::store::sql) product: &'static str,
    /// The short name of the store, for events and metrics.
    pub(in crate::store::sql) store: &'static str,
    /// What is around a name.
    pub(in crate::store::sql) quote: char,
    /// The longest name of a table, in bytes, with room for what is appended to it for an index.
    pub(in crate::store::sql) longest_name: usize,
    /// What begins the number of an argument; `None` if arguments have no numbers.
    pub(in crate::store::sql) numbered: Option<char>,
    /// What is around the hexadecimal digits of bytes.
    pub(in crate::store::sql) bytes: (&'static str, &'static str),
    /// No bytes, with their type.
    pub(in crate::store::sql) no_bytes: &'static str,
    /// The smallest and the largest of some values.
    pub(in crate::store::sql) least: &'static str,
    pub(in crate::store::sql) greatest: &'static str,
    /// Whether an insert can replace a row by `ON CONFLICT`, and a write can return rows by `RETURNING`.
    pub(in crate::store::sql) returns: bool,
    /// Whether one statement can write, and then read, by `WITH`. PostgreSQL only.
    pub(in crate::store::sql) combines: bool,
    /// How many rows the statement before has written.
    pub(in crate::store::sql) row_count: &'static str,
    /// What a `SELECT` of constants with a condition selects from.
    pub(in crate::store::sql) from_nothing: &'static str,
    /// Creates the table `{t}` and its indexes `{t_owner}` and `{t_sweep}`.
    pub(in crate::store::sql) schema: &'static [&'static str],
    /// What comes before the statements of `schema`, so that several processes can create it at once.
    pub(in crate::store::sql) migrating: &'static [&'static str],
    /// Returns the names of the columns of the table: `{name}` is its quoted name, `{table}` and `{in}` are literals.
    pub(in crate::store::sql) columns: &'static str,
    /// Removes everything: the first query counts. `{t}` is the table, `{live}` the condition of a live session.
    pub(in crate::store::sql) clear: &'static [&'static str],
}
