//! SQLite.

use super::dialect::Dialect;

pub(in super::super) const SQLITE: Dialect = Dialect {
    product: "SQLite",
    store: "sqlite",
    quote: '"',
    longest_name: 128,
    numbered: Some('?'),
    bytes: ("x'", "'"),
    no_bytes: "NULL",
    least: "MIN",
    greatest: "MAX",
    returns: true,
    combines: false,
    row_count: "changes()",
    from_nothing: "",
    schema: &[
        "CREATE TABLE IF NOT EXISTS {t} (\n\
         \x20   id           BLOB    NOT NULL PRIMARY KEY,\n\
         \x20   version      BLOB    NOT NULL,\n\
         \x20   record       BLOB    NOT NULL,\n\
         \x20   expires_at   INTEGER NOT NULL,\n\
         \x20   used_at      INTEGER NOT NULL,\n\
         \x20   absolute_at  INTEGER NOT NULL,\n\
         \x20   idle         INTEGER NOT NULL,\n\
         \x20   sweep_at     INTEGER NOT NULL,\n\
         \x20   kind         INTEGER NOT NULL,\n\
         \x20   owner_id     BLOB,\n\
         \x20   owner        BLOB,\n\
         \x20   lease_holder BLOB,\n\
         \x20   lease_until  INTEGER\n\
         )",
        "CREATE INDEX IF NOT EXISTS {t_owner} ON {t} (owner_id) WHERE owner_id IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS {t_sweep} ON {t} (sweep_at)",
    ],
    migrating: &[],
    columns: "SELECT name FROM pragma_table_info({table})",
    clear: &["SELECT count(*) FROM {t} WHERE {live}", "DELETE FROM {t}"],
};
