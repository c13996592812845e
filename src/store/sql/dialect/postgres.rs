//! PostgreSQL.

use super::dialect::Dialect;

pub(in super::super) const POSTGRES: Dialect = Dialect {
    product: "PostgreSQL",
    store: "postgres",
    quote: '"',
    longest_name: 56,
    numbered: Some('$'),
    // With `E`, the literal doesn't depend on the setting `standard_conforming_strings`.
    bytes: ("E'\\\\x", "'::bytea"),
    no_bytes: "NULL::bytea",
    least: "LEAST",
    greatest: "GREATEST",
    returns: true,
    combines: true,
    row_count: "",
    from_nothing: "",
    schema: &[
        "CREATE TABLE IF NOT EXISTS {t} (\n\
         \x20   id           bytea    NOT NULL PRIMARY KEY,\n\
         \x20   version      bytea    NOT NULL,\n\
         \x20   record       bytea    NOT NULL,\n\
         \x20   expires_at   bigint   NOT NULL,\n\
         \x20   used_at      bigint   NOT NULL,\n\
         \x20   absolute_at  bigint   NOT NULL,\n\
         \x20   idle         bigint   NOT NULL,\n\
         \x20   sweep_at     bigint   NOT NULL,\n\
         \x20   kind         smallint NOT NULL,\n\
         \x20   owner_id     bytea,\n\
         \x20   owner        bytea,\n\
         \x20   lease_holder bytea,\n\
         \x20   lease_until  bigint\n\
         ) WITH (fillfactor = 80)",
        "CREATE INDEX IF NOT EXISTS {t_owner} ON {t} (owner_id) WHERE owner_id IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS {t_sweep} ON {t} (sweep_at)",
    ],
    // `CREATE ... IF NOT EXISTS` alone fails if two processes run it at once. The lock's number is arbitrary.
    migrating: &["SELECT pg_advisory_xact_lock(5504716381224793906)"],
    columns: "SELECT attname::text FROM pg_catalog.pg_attribute \
              WHERE attrelid = to_regclass({name}) AND attnum > 0 AND NOT attisdropped",
    // The lock waits for running statements, including renames, and blocks later ones. The next statement takes its
    // snapshot when the lock is held.
    clear: &["LOCK TABLE {t} IN SHARE ROW EXCLUSIVE MODE", "SELECT count(*) FROM {t} WHERE {live}", "DELETE FROM {t}"],
};
