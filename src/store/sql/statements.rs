//! The statements of a store.
//!
//! A write is one statement that contains its conditions: the expected version, and that the row is not expired. So it
//! is atomic at every isolation level. If it writes no row, a second statement reads the reason. In PostgreSQL, a
//! rename, taking a lease and ensuring an epoch do both in one statement.

use std::sync::Arc;

use super::{dialect::Dialect, row::STORED, schema::Table, statement::Statement};

/// A write, and the read that belongs to it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) write: Arc<Statement>,
    /// Whether the write returns the row that it wrote.
    pub(super) returns: bool,
    /// The query that runs if no row was written.
    pub(super) or_read: Option<Arc<Statement>>,
    /// Both in one statement. Its first column is the number of written rows. The others are the row that was written
    /// or read, or null if there is none.
    pub(super) combined: Option<Arc<Statement>>,
    /// Whether it ends a session: a power cut must not undo that.
    pub(super) ends: bool,
}

/// The statements of a table. Unless noted otherwise, their arguments are: 1 id, 2 version, 3 record, 4 expiry, 5 last
/// use, 6 absolute limit, 7 idle limit, 8 kind, 9 owner's id, 10 owner, 11 now, 12 expected version.
#[derive(Debug)]
pub(super) struct Statements {
    /// 1 id, 2 now.
    pub(super) load: Arc<Statement>,
    /// 1 id, 2 now, 3 the caller's version.
    pub(super) refresh: Arc<Statement>,
    /// Also returns the end of the lease. 1 id, 2 now.
    pub(super) metadata: Arc<Statement>,
    /// Returns a row's version, expiry, last use and lease, even if it is expired. 1 id.
    pub(super) look: Arc<Statement>,
    pub(super) create: Write,
    /// Replaces an expired row after `create` found one, where the database can't do both in one statement.
    pub(super) replace_expired: Write,
    pub(super) update: Write,
    /// 1 id, 2 last use, 3 expiry, 4 now.
    pub(super) touch: Write,
    /// 1 id, 2 now.
    pub(super) remove: Write,
    /// 1 id, 2 now.
    pub(super) remove_expired: Write,
    /// 1 id, 2 expected version, 3 now.
    pub(super) end: Write,
    /// 1 to 10 the new row, 11 now, 12 expected version; of the tombstone: 13 id, 14 version, 15 record, 16 expiry, 17
    /// last use, 18 absolute limit, 19 idle limit, 20 kind. Its first column is the sum of 1 if the old row has the
    /// expected version, 2 if the new row was written, and 4 if the tombstone was.
    pub(super) rename: Option<Write>,
    /// The same as two statements of one transaction. The second writes nothing if the first wrote nothing.
    pub(super) rename_steps: [Arc<Statement>; 2],
    /// Like `create`, but an existing row keeps its record and takes the later expiry. Returns the row.
    pub(super) ensure_epoch: Option<Write>,
    /// The same as two statements of one request; the second returns the record.
    pub(super) ensure_epoch_steps: [Arc<Statement>; 2],
    /// Like `update`, but of a row in any version, which takes the later expiry.
    pub(super) renew_epoch: Write,
    /// 1 id, 2 now, 3 holder, 4 end of the lease, 5 new version.
    pub(super) acquire: Write,
    /// 1 id, 2 now, 3 holder.
    pub(super) release: Write,
    /// 1 the id to start after, 2 now, 3 limit.
    pub(super) ids: Arc<Statement>,
    /// 1 now.
    pub(super) count: Arc<Statement>,
    /// 1 owner's id, 2 owner, 3 now.
    pub(super) list_owner: Arc<Statement>,
    /// Rows whose `sweep_at` has passed, the earliest first: id, whether it is expired, whether it is a session. 1 now,
    /// 2 limit.
    pub(super) due: Arc<Statement>,
    /// Sessions that may be idle: id, last use, idle limit. 1 the id to start after, 2 latest use, 3 limit.
    pub(super) idle: Arc<Statement>,
    /// 1 now.
    pub(super) clear: Vec<Arc<Statement>>,
    pub(super) dialect: &'static Dialect,
    pub(super) table: String,
}

const ROW: &str = "id, version, record, expires_at, used_at, absolute_at, idle, kind, owner_id, owner, sweep_at";
const ROW_VALUES: &str = "{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {4}";

/// The columns that an unexpired epoch keeps, and the numbers of the arguments that replace those of an expired one.
const KEPT: [(&str, u32); 8] = [
    ("version", 2),
    ("record", 3),
    ("absolute_at", 6),
    ("idle", 7),
    ("kind", 8),
    ("owner_id", 9),
    ("owner", 10),
    ("sweep_at", 4),
];

/// The condition of a session that is not expired.
fn live_session(now: &str) -> String {
    format!("kind IN (0, 3) AND expires_at > {now}")
}

impl Statements {
    pub(super) fn new(dialect: &'static Dialect, table: &Table) -> Self {
        let make = Maker { dialect, t: table.in_statements() };
        let Maker { t, .. } = &make;
        let (least, greatest) = (dialect.least, dialect.greatest);
        let load = |record: &str, id: &str, now: &str, more: &str| {
            // The epoch is a subquery, not a join, so that the server has less to set up for each execution. On many
            // sites, few sessions have an owner.
            format!(
                "SELECT s.version AS version, {record} AS record, s.expires_at AS expires_at, s.used_at AS used_at, CASE \
                 WHEN s.owner_id IS NULL THEN NULL ELSE (SELECT e.record FROM {t} e WHERE e.id = s.owner_id AND e.kind = 2 \
                 AND e.expires_at > {now}) END AS epoch{more} FROM {t} s WHERE s.id = {id} AND s.expires_at > {now}"
            )
        };
        let present = |now: &str| load("s.record", "{1}", now, "");
        // A row that replaces another session must not keep its lease.
        let replaced = "lease_holder = NULL, lease_until = NULL";
        let set = format!(
            "version = {{2}}, record = {{3}}, used_at = {{5}}, absolute_at = {{6}}, idle = {{7}}, kind = {{8}}, \
             owner_id = {{9}}, owner = {{10}}, sweep_at = {least}(sweep_at, {{4}}), expires_at = {{4}}"
        );
        let excluded = |column: &str| format!("{column} = excluded.{column}");
        let all_excluded: Vec<_> = ROW.split(", ").skip(1).map(excluded).collect();
        let all_excluded = all_excluded.join(", ");
        let insert = format!("INSERT INTO {t} ({ROW}) VALUES ({ROW_VALUES})");
        let upsert = format!(
            "INSERT INTO {t} AS s ({ROW}) VALUES ({ROW_VALUES}) ON CONFLICT (id) DO UPDATE SET {all_excluded}, \
             {replaced} WHERE s.expires_at <= {{11}}"
        );
        let bury = format!(
            "UPDATE {t} SET version = {{14}}, record = {{15}}, used_at = {{17}}, absolute_at = {{18}}, idle = {{19}}, \
             kind = {{20}}, owner_id = NULL, owner = NULL, sweep_at = {least}(sweep_at, {{16}}), expires_at = {{16}}, \
             {replaced} WHERE id = {{13}}"
        );
        let from_is_expected = "version = {12} AND expires_at > {11}";
        let rename = dialect.combines.then(|| {
            let select = format!(
                "WITH f AS (SELECT id FROM {t} WHERE id = {{13}} AND {from_is_expected} FOR UPDATE), \
                 i AS (INSERT INTO {t} AS s ({ROW}) SELECT {ROW_VALUES} FROM f ON CONFLICT (id) DO UPDATE SET \
                 {all_excluded}, {replaced} WHERE s.expires_at <= {{11}} RETURNING 1 AS one), \
                 u AS ({bury} AND EXISTS (SELECT 1 FROM i) RETURNING 1 AS one) \
                 SELECT (SELECT count(*) FROM f) + 2 * (SELECT count(*) FROM i) + 4 * (SELECT count(*) FROM u), o.* \
                 FROM (SELECT 1) AS x LEFT JOIN ({}) AS o ON NOT EXISTS (SELECT 1 FROM f)",
                load("s.record", "{13}", "{11}", "")
            );
            Write {
                write: make.statement("SELECT 1"),
                returns: false,
                or_read: None,
                combined: Some(make.statement(select)),
                ends: true,
            }
        });
        let epoch_lives_on = format!("{greatest}(s.expires_at, excluded.expires_at)");
        let or_keeps = |(column, _): (&str, u32)| {
            format!("{column} = CASE WHEN s.expires_at <= {{11}} THEN excluded.{column} ELSE s.{column} END")
        };
        let kept: Vec<_> = KEPT.into_iter().map(or_keeps).collect();
        let ensure_epoch = dialect.returns.then(|| {
            make.returning(
                format!(
                    "INSERT INTO {t} AS s ({ROW}) VALUES ({ROW_VALUES}) ON CONFLICT (id) DO UPDATE SET {}, used_at = \
                     {greatest}(s.used_at, excluded.used_at), expires_at = {epoch_lives_on} WHERE s.expires_at < \
                     excluded.expires_at OR s.expires_at <= {{11}}",
                    kept.join(", ")
                ),
                &present("{11}"),
            )
        });
        // MySQL assigns from left to right, so the columns that depend on the old expiry precede the new expiry. The
        // new values are the arguments again: `VALUES(..)` is deprecated since MySQL 8.0.20, which warns of it, and
        // MariaDB has no alias for the new row.
        let or_keeps = |(column, new): (&str, u32)| {
            format!("{column} = CASE WHEN expires_at <= {{11}} THEN {{{new}}} ELSE {column} END")
        };
        let kept: Vec<_> = KEPT.into_iter().map(or_keeps).collect();
        let ensure_epoch_steps = [
            make.statement(format!(
                "{insert} ON DUPLICATE KEY UPDATE {}, used_at = GREATEST(used_at, {{5}}), expires_at = \
                 GREATEST(expires_at, {{4}})",
                kept.join(", ")
            )),
            make.statement(format!("SELECT record FROM {t} WHERE id = {{1}} AND expires_at > {{11}}")),
        ];
        let taken = "lease_holder = {3} AND lease_until > {2}";
        let acquire = format!(
            "UPDATE {t} SET version = CASE WHEN {taken} THEN version ELSE {{5}} END, lease_holder = {{3}}, lease_until = \
             {{4}} WHERE id = {{1}} AND expires_at > {{2}} AND (lease_holder IS NULL OR lease_holder = {{3}} OR lease_until \
             <= {{2}})"
        );
        let select = |columns: &str, rest: &str| make.statement(format!("SELECT {columns} FROM {t} WHERE {rest}"));
        Self {
            load: make.statement(present("{2}")),
            refresh: make.statement(load("CASE WHEN s.version = {3} THEN NULL ELSE s.record END", "{1}", "{2}", "")),
            metadata: make.statement(load("s.record", "{1}", "{2}", ", s.lease_until AS lease_until")),
            look: select("version, expires_at, used_at, lease_holder, lease_until", "id = {1}"),
            create: make.write(if dialect.returns { upsert } else { insert.clone() }, false),
            replace_expired: make
                .write(format!("UPDATE {t} SET {set}, {replaced} WHERE id = {{1}} AND expires_at <= {{11}}"), false),
            update: make.or_read(
                format!("UPDATE {t} SET {set} WHERE id = {{1}} AND version = {{12}} AND expires_at > {{11}}"),
                &present("{11}"),
                false,
            ),
            touch: make.write(
                format!(
                    "UPDATE {t} SET used_at = {greatest}(used_at, {{2}}), expires_at = {greatest}(expires_at, \
                     {least}(absolute_at, {{3}})) WHERE id = {{1}} AND expires_at > {{4}}"
                ),
                false,
            ),
            remove: make.write(format!("DELETE FROM {t} WHERE id = {{1}} AND expires_at > {{2}}"), true),
            remove_expired: make.write(format!("DELETE FROM {t} WHERE id = {{1}} AND expires_at <= {{2}}"), false),
            end: make.or_read(
                format!("DELETE FROM {t} WHERE id = {{1}} AND version = {{2}} AND expires_at > {{3}}"),
                &present("{3}"),
                true,
            ),
            rename,
            rename_steps: [
                make.statement(format!("{bury} AND {from_is_expected}")),
                make.statement(format!(
                    "INSERT INTO {t} ({ROW}) SELECT {ROW_VALUES}{} WHERE {} = 1",
                    dialect.from_nothing, dialect.row_count
                )),
            ],
            ensure_epoch,
            ensure_epoch_steps,
            renew_epoch: make.write(
                format!(
                    "UPDATE {t} SET version = {{2}}, record = {{3}}, used_at = {{5}}, expires_at = {greatest}(expires_at, \
                     {{4}}) WHERE id = {{1}} AND kind = 2 AND expires_at > {{11}}"
                ),
                true,
            ),
            acquire: make.returning(acquire, &present("{2}")),
            release: make.write(
                format!(
                    "UPDATE {t} SET lease_holder = NULL, lease_until = NULL WHERE id = {{1}} AND expires_at > {{2}} AND \
                     {taken}"
                ),
                false,
            ),
            ids: select("id", &format!("id > {{1}} AND {} ORDER BY id LIMIT {{3}}", live_session("{2}"))),
            count: select("count(*)", &live_session("{1}")),
            list_owner: make.statement(format!(
                "SELECT s.version, s.record, s.expires_at, s.used_at, e.record, s.id FROM {t} s LEFT JOIN {t} e ON e.id = \
                 s.owner_id AND e.kind = 2 AND e.expires_at > {{3}} WHERE s.owner_id = {{1}} AND s.owner = {{2}} AND \
                 s.kind IN (0, 3) AND s.expires_at > {{3}}"
            )),
            due: select(
                "id, CASE WHEN expires_at <= {1} THEN 1 ELSE 0 END, CASE WHEN kind IN (0, 3) THEN 1 ELSE 0 END",
                "sweep_at <= {1} ORDER BY sweep_at LIMIT {2}",
            ),
            idle: select(
                "id, used_at, idle",
                "id > {1} AND kind IN (0, 3) AND used_at <= {2} ORDER BY id LIMIT {3}",
            ),
            clear: dialect
                .clear
                .iter()
                .map(|text| make.statement(text.replace("{t}", t).replace("{live}", &live_session("{1}"))))
                .collect(),
            dialect,
            table: t.clone(),
        }
    }

    /// Removes those of some rows that are expired. 1 now.
    pub(super) fn remove_some_expired(&self, ids: &str) -> Arc<Statement> {
        self.on_some(format!("DELETE FROM {} WHERE id IN ({ids}) AND expires_at <= {{1}}", self.table))
    }

    /// Moves the `sweep_at` of rows that have not expired to their current expiry. 1 now.
    pub(super) fn postpone(&self, ids: &str) -> Arc<Statement> {
        self.on_some(format!(
            "UPDATE {} SET sweep_at = expires_at WHERE id IN ({ids}) AND expires_at > {{1}} AND sweep_at <= {{1}}",
            self.table
        ))
    }

    /// Removes sessions that have not been used since a time. 1 that time.
    pub(super) fn remove_unused(&self, ids: &str) -> Arc<Statement> {
        let table = &self.table;
        self.on_some(format!("DELETE FROM {table} WHERE id IN ({ids}) AND kind IN (0, 3) AND used_at <= {{1}}"))
    }

    fn on_some(&self, text: String) -> Arc<Statement> {
        Statement::new(self.dialect, text)
    }
}

struct Maker {
    dialect: &'static Dialect,
    t: String,
}

impl Maker {
    fn statement(&self, template: impl Into<String>) -> Arc<Statement> {
        Statement::new(self.dialect, template)
    }

    fn write(&self, write: String, ends: bool) -> Write {
        Write { write: self.statement(write), returns: false, or_read: None, combined: None, ends }
    }

    /// A write, and the query that runs if it writes no row, in a separate request, since this is rare.
    ///
    /// PostgreSQL could do both in one statement (`WITH w AS (UPDATE ..)`), but that takes 44 µs of its processor time,
    /// against 28 µs for the update alone.
    fn or_read(&self, write: String, read: &str, ends: bool) -> Write {
        let or_read = Some(self.statement(read));
        Write { write: self.statement(write), returns: false, or_read, combined: None, ends }
    }

    /// A write that returns its row, and the query that runs if it writes no row.
    fn returning(&self, write: String, read: &str) -> Write {
        let Self { dialect, t } = self;
        if !dialect.returns {
            return self.or_read(write, read, false);
        }
        let write = write.replacen(&format!("UPDATE {t} SET"), &format!("UPDATE {t} AS s SET"), 1);
        let columns = format!("s.version, s.record, s.expires_at, s.used_at, {} AS epoch", dialect.no_bytes);
        // SQLite accepts no alias in `RETURNING`.
        let plain = columns.replace("s.", "");
        let combined = dialect.combines.then(|| {
            self.statement(format!(
                "WITH w AS ({write} RETURNING {columns}) SELECT (SELECT count(*) FROM w), o.* FROM (SELECT 1) AS x LEFT \
                 JOIN (SELECT {STORED} FROM w UNION ALL SELECT {STORED} FROM ({read}) AS r WHERE NOT EXISTS (SELECT 1 FROM \
                 w)) AS o ON true"
            ))
        });
        let or_read = Some(self.statement(read));
        let write = self.statement(format!("{write} RETURNING {plain}"));
        Write { write, returns: true, or_read, combined, ends: false }
    }
}
