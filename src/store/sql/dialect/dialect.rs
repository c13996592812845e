//! The differences between the databases in the text of a statement.

/// One database's spelling of the parts of a statement.
#[derive(Debug)]
pub(in crate::store::sql) struct Dialect {
    /// The product's name in messages.
    pub(in crate::store::sql) product: &'static str,
    /// The short name of the store, for events and metrics.
    pub(in crate::store::sql) store: &'static str,
    /// The quotation mark around a name.
    pub(in crate::store::sql) quote: char,
    /// The longest table name, in bytes. It leaves room for the suffix of an index's name.
    pub(in crate::store::sql) longest_name: usize,
    /// The character before an argument's number; `None` if arguments are not numbered.
    pub(in crate::store::sql) numbered: Option<char>,
    /// The text before and after the hexadecimal digits of a bytes literal.
    pub(in crate::store::sql) bytes: (&'static str, &'static str),
    /// NULL, with the type of bytes where the database needs it.
    pub(in crate::store::sql) no_bytes: &'static str,
    /// The functions that return the smallest and the largest of their arguments.
    pub(in crate::store::sql) least: &'static str,
    pub(in crate::store::sql) greatest: &'static str,
    /// Whether the database has `ON CONFLICT`, by which an insert can replace a row, and `RETURNING`.
    pub(in crate::store::sql) returns: bool,
    /// Whether one statement can write and then read, using `WITH`. PostgreSQL only.
    pub(in crate::store::sql) combines: bool,
    /// The function that returns the number of rows that the previous statement wrote.
    pub(in crate::store::sql) row_count: &'static str,
    /// The `FROM` clause of a `SELECT` that has only constants and a condition.
    pub(in crate::store::sql) from_nothing: &'static str,
    /// Creates the table `{t}` and its indexes `{t_owner}` and `{t_sweep}`.
    pub(in crate::store::sql) schema: &'static [&'static str],
    /// Statements that precede those of `schema`, so that several processes can create the table at once.
    pub(in crate::store::sql) migrating: &'static [&'static str],
    /// The query for the names of the table's columns. `{name}`, `{table}` and `{in}` are literals: the quoted name,
    /// the plain name, and the schema.
    pub(in crate::store::sql) columns: &'static str,
    /// Removes all rows; its query counts the live sessions. `{t}` is the table, `{live}` the condition of a live
    /// session.
    pub(in crate::store::sql) clear: &'static [&'static str],
}
