//! MySQL and MariaDB.

use super::dialect::Dialect;

pub(in super::super) const MYSQL: Dialect = Dialect {
    product: "MySQL",
    store: "mysql",
    quote: '`',
    longest_name: 57,
    numbered: None,
    bytes: ("x'", "'"),
    no_bytes: "NULL",
    least: "LEAST",
    greatest: "GREATEST",
    returns: false,
    combines: false,
    row_count: "ROW_COUNT()",
    from_nothing: " FROM DUAL",
    schema: &["CREATE TABLE IF NOT EXISTS {t} (\n\
         \x20   id           binary(16)      NOT NULL PRIMARY KEY,\n\
         \x20   version      varbinary(31)   NOT NULL,\n\
         \x20   record       longblob        NOT NULL,\n\
         \x20   expires_at   bigint          NOT NULL,\n\
         \x20   used_at      bigint          NOT NULL,\n\
         \x20   absolute_at  bigint          NOT NULL,\n\
         \x20   idle         bigint          NOT NULL,\n\
         \x20   sweep_at     bigint          NOT NULL,\n\
         \x20   kind         smallint        NOT NULL,\n\
         \x20   owner_id     binary(16),\n\
         \x20   owner        varbinary(1024),\n\
         \x20   lease_holder binary(16),\n\
         \x20   lease_until  bigint,\n\
         \x20   INDEX {t_owner} (owner_id),\n\
         \x20   INDEX {t_sweep} (sweep_at)\n\
         ) ENGINE = InnoDB"],
    migrating: &[],
    columns: "SELECT column_name FROM information_schema.columns \
              WHERE table_schema = {in} AND table_name = {table}",
    // At this isolation level, the query locks every row and every gap, so that no row is inserted before the commit.
    clear: &[
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION",
        "SELECT count(*) FROM {t} WHERE {live} FOR UPDATE",
        "DELETE FROM {t}",
        "COMMIT",
    ],
};
