//! The table: its name, the SQL that creates it, and the check of its columns.

use std::fmt::Write as _;

use super::{dialect::Dialect, error::SqlStoreError, statement::literal, value::Value};

/// The columns that the statements use.
pub(super) const COLUMNS: [&str; 13] = [
    "id",
    "version",
    "record",
    "expires_at",
    "used_at",
    "absolute_at",
    "idle",
    "sweep_at",
    "kind",
    "owner_id",
    "owner",
    "lease_holder",
    "lease_until",
];

/// A store's table: its name, and its schema (in MySQL, its database).
#[derive(Debug, Clone)]
pub(super) struct Table {
    dialect: &'static Dialect,
    schema: Option<String>,
    name: String,
}

impl Table {
    /// Checks the names: ASCII letters, digits and underscores, not starting with a digit.
    pub(super) fn new(dialect: &'static Dialect, schema: Option<&str>, name: &str) -> Result<Self, SqlStoreError> {
        for (what, given) in [("table", Some(name)), ("schema", schema)] {
            let Some(given) = given else { continue };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let starts = given.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts || !given.chars().all(plain) || given.len() > dialect.longest_name {
                return Err(SqlStoreError::setup(format!(
                    "the SQL store's setting `{what}` is {given:?}: allowed are letters, digits and `_`, with no digit \
                     first, at most {}",
                    dialect.longest_name
                )));
            }
        }
        Ok(Self { dialect, schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    fn quoted(&self, name: &str) -> String {
        let quote = self.dialect.quote;
        format!("{quote}{name}{quote}")
    }

    /// The name as it appears in statements.
    pub(super) fn in_statements(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", self.quoted(schema), self.quoted(&self.name)),
            None => self.quoted(&self.name),
        }
    }

    /// The statements that create the table if it is missing.
    pub(super) fn schema(&self) -> String {
        self.all(self.dialect.schema)
    }

    /// The same, in a form that several processes can run at once.
    pub(super) fn migration(&self) -> String {
        self.all(self.dialect.migrating) + &self.schema()
    }

    fn all(&self, statements: &[&str]) -> String {
        let mut text = String::new();
        for statement in statements {
            let _ = writeln!(text, "{};", self.fill(statement));
        }
        text
    }

    fn fill(&self, statement: &str) -> String {
        // The index names have no schema: PostgreSQL puts an index into the schema of its table.
        statement
            .replace("{t_owner}", &self.quoted(&format!("{}_owner", self.name)))
            .replace("{t_sweep}", &self.quoted(&format!("{}_sweep", self.name)))
            .replace("{t}", &self.in_statements())
    }

    /// The query for the names of the table's columns.
    pub(super) fn columns(&self) -> String {
        let text = |value: &str| {
            // No escaping: the value has only letters, digits, `_`, `.` and the quotation marks of names, which are not
            // `'`.
            format!("'{value}'")
        };
        let schema = match &self.schema {
            Some(schema) => text(schema),
            None => "DATABASE()".to_owned(),
        };
        self.dialect
            .columns
            .replace("{name}", &text(&self.in_statements()))
            .replace("{table}", &text(&self.name))
            .replace("{in}", &schema)
    }

    /// Fails and names what is missing, given the names of the table's columns.
    pub(super) fn check(&self, columns: &[String]) -> Result<(), SqlStoreError> {
        let missing: Vec<_> = COLUMNS
            .iter()
            .filter(|column| !columns.iter().any(|has| has.eq_ignore_ascii_case(column)))
            .copied()
            .collect();
        let (name, table) = (self.dialect.product, self.in_statements());
        if columns.is_empty() {
            let error = SqlStoreError::setup(format!("{name} has no table {table}"));
            return Err(error.advise(Some(super::error::advice::SCHEMA)));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let error = SqlStoreError::setup(format!("the table {table} lacks {}", missing.join(", ")));
        Err(error.advise(Some(super::error::advice::SCHEMA)))
    }
}

/// Returns the ids as literals for `id IN (…)`.
pub(super) fn list<'a>(dialect: &Dialect, ids: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for id in ids {
        if !text.is_empty() {
            text.push_str(", ");
        }
        literal(dialect, &Value::from(id), &mut text);
    }
    text
}

#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod tests {
    use super::{super::dialect, *};

    #[test]
    fn the_documentation_has_the_sql_of_the_schema() {
        let documented = include_str!("store.rs");
        for dialect in [&dialect::POSTGRES, &dialect::MYSQL, &dialect::SQLITE] {
            let table = Table::new(dialect, None, "sessions").unwrap();
            for statement in dialect.schema {
                let text = format!("{};", table.fill(statement));
                let text: Vec<_> = text.lines().map(|line| format!("/// {line}")).collect();
                assert!(documented.contains(&text.join("\n")), "{}: {}", dialect.product, text.join("\n"));
            }
        }
    }

    #[test]
    fn names_are_checked_and_quoted() {
        let table = Table::new(&dialect::POSTGRES, Some("Web"), "sessions_2").unwrap();
        assert_eq!(table.in_statements(), "\"Web\".\"sessions_2\"");
        assert_eq!(Table::new(&dialect::MYSQL, None, "s").unwrap().in_statements(), "`s`");
        for name in ["", "2s", "a-b", "a.b", "a\"b", "a;b", "ä", &"x".repeat(60)] {
            let error = Table::new(&dialect::POSTGRES, None, name).unwrap_err().to_string();
            assert!(error.contains(&format!("setting `table` is {name:?}")), "{error}");
        }
        assert!(Table::new(&dialect::POSTGRES, Some("a b"), "s").unwrap_err().to_string().contains("`schema`"));
    }

    #[test]
    fn it_says_what_is_missing() {
        let table = Table::new(&dialect::SQLITE, None, "s").unwrap();
        assert!(table.check(&COLUMNS.map(str::to_owned)).is_ok());
        let error = table.check(&["ID".to_owned(), "version".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("the table \"s\" lacks record, expires_at,"), "{error}");
        let error = table.check(&[]).unwrap_err().to_string();
        assert!(error.starts_with("SQLite has no table \"s\"; create the table"), "{error}");
    }
}
