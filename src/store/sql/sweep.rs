//! Operations on many sessions: pages of ids, counts, sweeps, an owner's sessions, and clearing.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    error::SqlStoreError,
    events::TARGET,
    row::{Row, stored},
    schema::list,
    statement::Statement,
    statements::Statements,
    store::SqlStore,
    value::Value,
};
use crate::{
    events::EventKind,
    id::SessionId,
    lifetime::{CookieLifetime, Lifetime},
    store::{Cursor, Idle, ListedSession, Page, StoreError, Swept},
};

/// The number of rows that one request reads or removes. A removal locks its rows while it runs.
const BATCH: u64 = 500;

/// The most ids in one page.
const LARGEST_PAGE: usize = 10_000;

impl SqlStore {
    pub(super) async fn page(&self, from: Cursor, limit: usize) -> Result<Page, SqlStoreError> {
        let limit = limit.clamp(1, LARGEST_PAGE);
        let values = vec![Value::from(from.as_bytes()), Value::from(self.now()), Value::from(limit as u64)];
        let rows = self.engine().read(&self.statements().ids, values).await?;
        let ids: Vec<SessionId> = rows.iter().map(|row| row.id(0)).collect::<Result<_, _>>()?;
        let last = ids.last().filter(|_| ids.len() == limit);
        let next = last.and_then(|last| Cursor::from_bytes(last.as_bytes()));
        Ok(Page { ids, next })
    }

    pub(super) async fn count_rows(&self) -> Result<u64, SqlStoreError> {
        let rows = self.engine().read(&self.statements().count, vec![Value::from(self.now())]).await?;
        rows.first().ok_or_else(|| SqlStoreError::row("a count is missing"))?.int(0)
    }

    pub(super) async fn sessions_of(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let id = SessionId::for_epoch(owner);
        let values = vec![Value::from(&id.as_bytes()[..]), Value::from(owner.as_bytes()), Value::from(self.now())];
        let rows = self.engine().read(&self.statements().list_owner, values).await.map_err(SqlStoreError::of_read)?;
        let owned = |row: &Row| {
            let id = row.id(5).map_err(SqlStoreError::of_read)?;
            Ok(match stored(&id, row) {
                Ok(stored) => ListedSession::new(id).with_stored(stored),
                // The record is damaged, but its row names the owner: list it, so that it can be removed.
                Err(error) => {
                    self.failed("list_owner", Some(&id), error);
                    ListedSession::new(id)
                }
            })
        };
        rows.iter().map(owned).collect()
    }

    pub(super) async fn sweep_rows(&self) -> Result<Swept, SqlStoreError> {
        let deleted = self.remove_expired().await?;
        Ok(self.swept(deleted, self.count_rows().await?))
    }

    /// Like `sweep`, but counts the remaining sessions only if there is an observer.
    pub(super) async fn sweep_by_itself(&self) -> Result<(), StoreError> {
        let swept = async {
            let deleted = self.remove_expired().await?;
            if self.inner.observers.is_empty() {
                tracing::debug!(target: TARGET, deleted, "swept");
            } else {
                self.swept(deleted, self.count_rows().await?);
            }
            Ok(())
        };
        swept.await.map_err(|error: SqlStoreError| self.failed("sweep", None, error.of_write()))
    }

    fn swept(&self, deleted: u64, remaining: u64) -> Swept {
        tracing::debug!(target: TARGET, deleted, remaining, "swept");
        self.inner.observers.notify(EventKind::Swept { deleted, remaining });
        Swept { deleted, remaining }
    }

    /// Removes expired rows in batches. Returns the number of sessions that this call removed.
    async fn remove_expired(&self) -> Result<u64, SqlStoreError> {
        let now = Value::from(self.now());
        let mut deleted = 0;
        loop {
            let values = vec![now.clone(), Value::from(BATCH)];
            let rows = self.engine().read(&self.statements().due, values).await?;
            let due: Vec<_> = rows.iter().map(Due::of).collect::<Result<_, _>>()?;
            let these = |expired: bool, session: bool| {
                let ids = due.iter().filter(|due| due.expired == expired && (due.session == session || !expired));
                ids.map(|due| due.id).collect::<Vec<_>>()
            };
            let (sessions, others, live) = (these(true, true), these(true, false), these(false, false));
            let removed = self.on_some(&sessions, Statements::remove_some_expired, &now).await?;
            let others = self.on_some(&others, Statements::remove_some_expired, &now).await?;
            let written = removed + others + self.on_some(&live, Statements::postpone, &now).await?;
            deleted += removed;
            if removed == sessions.len() as u64 {
                sessions
                    .into_iter()
                    .for_each(|id| self.inner.observers.notify(EventKind::Expired { id, record: None }));
            }
            // A short batch is the last one. If nothing in a batch was left to do, another sweeper is ahead of this
            // one.
            if (due.len() as u64) < BATCH || written == 0 {
                return Ok(deleted);
            }
        }
    }

    /// Runs a statement on these rows; returns the number that it wrote.
    async fn on_some(
        &self,
        ids: &[SessionId],
        make: impl FnOnce(&Statements, &str) -> Arc<Statement>,
        time: &Value,
    ) -> Result<u64, SqlStoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        // Sorted, so that two sweepers don't deadlock.
        let mut ids: Vec<_> = ids.to_vec();
        ids.sort_unstable();
        let statements = self.statements();
        let ids = list(statements.dialect, ids.iter().map(|id| &id.as_bytes()[..]));
        self.engine().transact(&[make(statements, &ids)], vec![time.clone()]).await
    }

    pub(super) async fn remove_idle(&self, idle: Idle) -> Result<Swept, SqlStoreError> {
        let now = self.now();
        let mut deleted = self.remove_expired().await?;
        let cutoff = idle.cutoff(now);
        let mut from = Vec::new();
        loop {
            let values = vec![Value::Bytes(from), Value::from(cutoff), Value::from(BATCH)];
            let rows = self.engine().read(&self.statements().idle, values).await?;
            // Sessions, by the latest recorded use at which each counts as idle. A recorded use can lag behind the real
            // one by `late`, so that is the cutoff less `late`.
            let mut unused: BTreeMap<u64, Vec<SessionId>> = BTreeMap::new();
            for row in &rows {
                let late = idle.late(Lifetime::from_millis(row.int(2)?, 0, CookieLifetime::Browser));
                if let Some(latest) =
                    cutoff.checked_sub(late).filter(|latest| row.int(1).is_ok_and(|used| used <= *latest))
                {
                    unused.entry(latest).or_default().push(row.id(0)?);
                }
            }
            for (latest, ids) in unused {
                deleted += self.on_some(&ids, Statements::remove_unused, &Value::from(latest)).await?;
            }
            match rows.last() {
                Some(last) if rows.len() as u64 == BATCH => from = last.bytes(0)?.to_vec(),
                _ => break,
            }
        }
        Ok(self.swept(deleted, self.count_rows().await?))
    }

    pub(super) async fn remove_all(&self) -> Result<u64, SqlStoreError> {
        let now = [Value::from(self.now())];
        let text: Vec<_> = self.statements().clear.iter().map(|statement| statement.rendered(&now)).collect();
        let rows = self.engine().run(text.join(";\n")).await?;
        rows.iter().find_map(|row| row.int(0).ok()).ok_or_else(|| SqlStoreError::row("a count is missing"))
    }
}

/// A row whose `sweep_at` has passed.
struct Due {
    id: SessionId,
    expired: bool,
    session: bool,
}

impl Due {
    fn of(row: &Row) -> Result<Self, SqlStoreError> {
        Ok(Self { id: row.id(0)?, expired: row.int(1)? == 1, session: row.int(2)? == 1 })
    }
}
