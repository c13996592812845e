//! Walking the shards: listing, counting, sweeping and clearing. Each call deals with one shard.

use std::{fs, io};

use super::{
    FileStoreError,
    disk::Disk,
    found::{Found, Held},
    layout::Layout,
    locks::Locks,
    owners,
    times::{self, Expiry},
};
use crate::{
    id::SessionId,
    record::{Record, RecordKind},
    store::{Cursor, Idle, Page, StoreError, Swept},
};

/// How many shards are looked at in one call, unless they hold more sessions than [`SEEN_AT_ONCE`].
const SHARDS_AT_ONCE: u8 = 32;

/// The number of sessions after which a look at several shards ends, so that it doesn't keep a thread for long.
const SEEN_AT_ONCE: u64 = 2_000;

/// How many files are removed while a lock is held.
pub(super) const REMOVED_AT_ONCE: usize = 256;

/// A file as a walk sees it, mostly without opening it.
struct Seen {
    id: SessionId,
    is_session: bool,
    used: u64,
    expires: u64,
}

/// The records to remove from a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sweep {
    /// Expired records.
    Expired,
    /// As `Expired`, and sessions that are idle at this millisecond.
    Idle(Idle, u64),
    /// All records.
    All,
}

/// The result of a look at one shard.
#[derive(Debug, Default)]
pub(super) struct ToSweep {
    pub(super) ids: Vec<SessionId>,
    /// Live sessions that stay.
    pub(super) remaining: u64,
    /// Whether there is a temporary file, perhaps of a dead process.
    pub(super) temporary: bool,
}

/// The result of a look at several shards, and the shard to go on with.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) shards: Vec<(u8, ToSweep)>,
    pub(super) next: Option<u8>,
}

impl ToSweep {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.temporary
    }
}

impl Sweep {
    fn wants(self, seen: &Seen, now: u64) -> bool {
        match self {
            Self::Expired => seen.expires <= now,
            // A first check by the times alone. Only the record shows how late they can be.
            Self::Idle(idle, then) => seen.expires <= now || (seen.is_session && seen.used <= idle.cutoff(then)),
            Self::All => true,
        }
    }

    /// Whether a session that looks idle by its file's times may have been used since.
    fn spares(self, held: &Held) -> bool {
        match (self, Record::from_bytes(held.record_bytes())) {
            (Self::Idle(idle, then), Ok(record)) => !idle.includes_millis(record.lifetime(), held.used, then),
            _ => false,
        }
    }
}

impl Disk {
    /// Returns a page of ids of live sessions. It begins with the first id whose first eight bytes are not below the
    /// cursor. Ids are returned in order, so sessions that come and go meanwhile don't shift the others.
    pub(super) fn page(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let (now, mut ids) = (self.now(), Vec::new());
        let first = from.to_u64().unwrap_or(0).to_be_bytes()[0];
        for shard in first..=u8::MAX {
            let mut live = Vec::new();
            self.each(shard, false, |seen| {
                if seen.is_session && seen.expires > now && prefix(&seen.id) >= from.to_u64().unwrap_or(0) {
                    live.push(seen.id);
                }
            })?;
            live.sort_unstable();
            for id in live {
                // Two ids with the same prefix are returned on one page, since no cursor lies between them.
                if ids.len() >= limit.max(1) && ids.last().is_some_and(|last| prefix(last) != prefix(&id)) {
                    return Ok(Page { ids, next: Some(Cursor::from_u64(prefix(&id))) });
                }
                ids.push(id);
            }
            // The page is full. The rest of a long walk is left to other calls.
            if ids.len() >= limit.max(1) && shard < u8::MAX {
                return Ok(Page { ids, next: Some(Cursor::from_u64(u64::from(shard + 1) << 56)) });
            }
        }
        Ok(Page { ids, next: None })
    }

    /// Looks at some shards, from `first` on.
    pub(super) fn look_on(&self, first: u8, sweep: Sweep) -> Result<Looked, StoreError> {
        let (mut looked, mut seen) = (Looked::default(), 0);
        for shard in first..=first.saturating_add(SHARDS_AT_ONCE - 1) {
            let found = self.look(shard, sweep)?;
            seen += found.remaining + found.ids.len() as u64;
            looked.shards.push((shard, found));
            looked.next = shard.checked_add(1);
            if seen >= SEEN_AT_ONCE {
                break;
            }
        }
        Ok(looked)
    }

    /// Finds what is to be removed from a shard, without a lock.
    fn look(&self, shard: u8, sweep: Sweep) -> Result<ToSweep, StoreError> {
        let now = self.now();
        let mut found = ToSweep::default();
        found.temporary = self.each(shard, matches!(sweep, Sweep::Idle(..)), |seen| {
            if sweep.wants(&seen, now) {
                found.ids.push(seen.id);
            } else if seen.is_session {
                found.remaining += 1;
            }
        })?;
        Ok(found)
    }

    /// Removes, under the lock, those of the ids that are still to be removed. Sessions that were used meanwhile
    /// remain. Also returns the sessions that had expired.
    pub(super) fn sweep_some(
        &self,
        locks: &Locks,
        shard: u8,
        ids: &[SessionId],
        sweep: Sweep,
    ) -> Result<(Swept, Vec<SessionId>), StoreError> {
        locks.assert_hold(shard);
        let now = self.now();
        let (mut swept, mut expired, mut unmarked) = (Swept::default(), Vec::new(), Vec::new());
        let (mut ready, mut unsynced) = (self.prepare(shard, true)?, None);
        for id in ids {
            let path = self.layout.session(id);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if self.foreign(&metadata).is_some() {
                continue;
            }
            let Some(seen) = self.inspect(*id, &metadata, true)? else { continue };
            if !sweep.wants(&seen, now) {
                swept.remaining += u64::from(seen.is_session);
                continue;
            }
            let owner = match self.find(id)? {
                Found::Live(held) if sweep.spares(&held) => {
                    swept.remaining += 1;
                    continue;
                }
                Found::Live(held) => held.header.owner,
                Found::Expired(owner) => owner,
                Found::Absent => continue,
                Found::Damaged(_) => None,
            };
            if seen.expires > now
                && let Some(ready) = ready.take()
            {
                unsynced = Some(ready.mark(self, locks, shard)?);
            }
            self.unlink_unsynced(locks, id)?;
            unmarked.extend(owner.map(|owner| (owner, *id)));
            swept.deleted += u64::from(seen.is_session && (seen.expires > now || sweep != Sweep::All));
            expired.extend((seen.is_session && seen.expires <= now).then_some(*id));
        }
        // This call holds the lock, so the process that created the file is dead.
        let _ = fs::remove_file(self.layout.temporary(shard));
        unsynced.map_or(Ok(()), |unsynced| unsynced.sync(&self.layout.shard(shard)))?;
        unmarked.iter().for_each(|(owner, id)| owners::unmark(self, owner, id));
        Ok((swept, expired))
    }

    /// Returns the ids whose files are in a shard.
    pub(super) fn ids_in(&self, shard: u8) -> Result<Vec<SessionId>, StoreError> {
        let mut ids = Vec::new();
        self.each(shard, false, |seen| ids.push(seen.id))?;
        Ok(ids)
    }

    /// Calls `with` for each session's file in a shard. Returns whether there is a temporary file. Without `needs_use`,
    /// the last use may be 0, so that a file whose access time another program has set need not be opened.
    fn each(&self, shard: u8, needs_use: bool, mut with: impl FnMut(Seen)) -> Result<bool, StoreError> {
        let dir = self.layout.shard(shard);
        let failed = |error| FileStoreError::io("list", &dir, error);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.layout.confirm()?;
                return Ok(false);
            }
            Err(error) => return Err(failed(error).into()),
        };
        let mut temporary = false;
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(id) = Layout::id_of(shard, &name) else {
                temporary |= name == super::layout::TEMPORARY;
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(FileStoreError::io("look at", entry.path(), error).into()),
            };
            if self.foreign(&metadata).is_some() {
                continue;
            }
            if let Some(seen) = self.inspect(id, &metadata, needs_use)? {
                with(seen);
            }
        }
        self.vouch(shard)?;
        Ok(temporary)
    }

    /// Reads a file's kind, last use and expiry from its times or, if another program has set them, from its header.
    fn inspect(&self, id: SessionId, metadata: &fs::Metadata, needs_use: bool) -> Result<Option<Seen>, FileStoreError> {
        let times = times::read(metadata);
        if let (Some(used), Expiry::At(expires, kind)) = (times.used.or((!needs_use).then_some(0)), times.expiry) {
            return Ok(Some(Seen { id, is_session: is_session(kind), used, expires }));
        }
        Ok(match self.find(&id)? {
            Found::Absent => None,
            Found::Expired(_) => {
                let is_session = !matches!(times.expiry, Expiry::At(_, kind) | Expiry::Far(kind) if !is_session(kind));
                Some(Seen { id, is_session, used: 0, expires: 0 })
            }
            Found::Live(held) => {
                Some(Seen { id, is_session: is_session(held.kind), used: held.used, expires: held.expires })
            }
            Found::Damaged(damaged) => {
                Some(Seen { id, is_session: true, used: damaged.used, expires: damaged.expires })
            }
        })
    }
}

fn prefix(id: &SessionId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn is_session(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Session | RecordKind::Sealed)
}
