//! Walks through all sessions: `SCAN` on one primary after another.

use std::collections::HashSet;

use redis::{Cmd, Value};

use super::{
    joined::{AT_ONCE, boxed, joined},
    key::partition,
    link::{LinkError, Primary},
    reply::{bytes, number, unexpected},
    script,
    store::RedisStore,
};
use crate::{
    clock,
    id::SessionId,
    store::{Cursor, End, Idle, Page, StoreError, Swept},
};

/// The fewest and the most keys that one `SCAN` is told to examine (`COUNT`).
const FEWEST: usize = 10;
pub(super) const MOST: usize = 1_000;

/// After this many `SCAN`s without a session, an empty page is returned: a database can contain other things than
/// sessions.
const LOOKS: usize = 100;

/// How a walk treats dead records: `Names` leaves them, `Sweeps` removes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Names,
    Sweeps,
}

/// The sessions that a walk has found.
#[derive(Debug, Default)]
struct Found {
    live: Vec<SessionId>,
    removed: Vec<SessionId>,
}

/// The position of a walk: a `SCAN` cursor of a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    primary: Primary,
    cursor: u64,
}

impl Position {
    fn read(cursor: &Cursor) -> Option<Self> {
        let (id, scan) = cursor.as_bytes().split_first_chunk::<20>()?;
        Some(Self { primary: Primary { id: *id }, cursor: u64::from_be_bytes(scan.try_into().ok()?) })
    }

    fn write(self) -> Cursor {
        let bytes = [&self.primary.id[..], &self.cursor.to_be_bytes()].concat();
        Cursor::from_bytes(&bytes).expect("28 bytes are a cursor")
    }
}

impl RedisStore {
    pub(super) async fn page(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let mut next = Some(from);
        for _ in 0..LOOKS {
            let Some(at) = next else { break };
            let (found, then) = self.step(at, limit, Walk::Names).await?;
            if !found.live.is_empty() || then.is_none() {
                return Ok(Page { ids: found.live, next: then });
            }
            next = then;
        }
        Ok(Page { ids: Vec::new(), next })
    }

    /// Removes sessions that have expired by the store's clock or were cleared. Expired sessions that the server itself
    /// has removed are not counted.
    pub(super) async fn sweep_all(&self) -> Result<Swept, StoreError> {
        let (live, removed) = self.walk(Walk::Sweeps).await?;
        Ok(Swept { deleted: removed, remaining: live })
    }

    pub(super) async fn count_all(&self) -> Result<u64, StoreError> {
        Ok(self.walk(Walk::Names).await?.0)
    }

    pub(super) async fn end_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        let (mut kept, mut swept) = (HashSet::new(), Swept::default());
        let mut next = Some(Cursor::START);
        while let Some(at) = next {
            let (found, then) = self.step(at, MOST, Walk::Sweeps).await?;
            swept.deleted += found.removed.len() as u64;
            for ids in found.live.chunks(AT_ONCE) {
                let ended = joined(ids.iter().map(|id| boxed(self.end_if_idle(id, idle))).collect()).await;
                for (id, ended) in ids.iter().zip(ended) {
                    match ended? {
                        Some(true) => swept.deleted += 1,
                        Some(false) => drop(kept.insert(mark(id))),
                        None => {}
                    }
                }
            }
            next = then;
        }
        swept.remaining = kept.len() as u64;
        Ok(swept)
    }

    /// Ends a session if it is idle. Returns `None` if it is gone.
    async fn end_if_idle(&self, id: &SessionId, idle: Idle) -> Result<Option<bool>, StoreError> {
        let Some(held) = self.find(id).await? else { return Ok(None) };
        let (stored, used) = (&held.stored, held.head.usage.used_millis());
        if !idle.includes_millis(stored.record.lifetime(), used, clock::to_millis(self.now())) {
            return Ok(Some(false));
        }
        // A session that was used or written since it was read is not idle.
        Ok(match self.end_value(id, &stored.version, Some(used)).await? {
            End::Ended => Some(true),
            End::Conflict(_) => Some(false),
            End::Gone => None,
        })
    }

    /// Returns how many sessions are live, and how many were removed.
    async fn walk(&self, walk: Walk) -> Result<(u64, u64), StoreError> {
        let (mut live, mut removed, mut next) = (HashSet::new(), 0, Some(Cursor::START));
        while let Some(at) = next {
            let (found, then) = self.step(at, MOST, walk).await?;
            live.extend(found.live.iter().map(mark));
            removed += found.removed.len() as u64;
            next = then;
        }
        Ok((live.len() as u64, removed))
    }

    /// Runs one `SCAN`. Returns what it found, and where to continue.
    async fn step(&self, from: Cursor, limit: usize, walk: Walk) -> Result<(Found, Option<Cursor>), StoreError> {
        let primaries = self.inner.link.primaries().await.map_err(LinkError::of_read)?;
        let position = if from.is_start() {
            primaries.first().map(|&primary| Position { primary, cursor: 0 })
        } else {
            let at = Position::read(&from).ok_or_else(|| unexpected("a cursor of another store"))?;
            // A primary that has left the cluster has handed its keys to others, which may come later in the order or
            // may not.
            if primaries.contains(&at.primary) { Some(at) } else { following(&primaries, at.primary) }
        };
        let Some(at) = position else { return Ok((Found::default(), None)) };
        let (keys, cursor) =
            self.scan(at.primary, at.cursor, &self.inner.keys.all_sessions(), limit.clamp(FEWEST, MOST)).await?;
        let next = if cursor == 0 { following(&primaries, at.primary) } else { Some(Position { cursor, ..at }) };
        let ids = keys.iter().filter_map(|key| self.inner.keys.id_of(key)).collect();
        Ok((self.looked_at(ids, walk).await?, next.map(Position::write)))
    }

    /// Runs one `SCAN`. Returns its keys and its next cursor.
    pub(super) async fn scan(
        &self,
        primary: Primary,
        cursor: u64,
        pattern: &str,
        count: usize,
    ) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
        let mut command: Cmd = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        let reply = self.inner.link.on(primary, &command).await.map_err(LinkError::of_read)?;
        let Value::Array(parts) = reply else { return Err(unexpected("not a page of keys")) };
        let [cursor, Value::Array(keys)] =
            <[Value; 2]>::try_from(parts).map_err(|_| unexpected("not a page of keys"))?
        else {
            return Err(unexpected("not a page of keys"));
        };
        let keys = keys.into_iter().map(bytes).collect::<Result<_, _>>()?;
        Ok((keys, number(cursor)?))
    }

    /// Finds out which of these are live sessions.
    async fn looked_at(&self, ids: Vec<SessionId>, walk: Walk) -> Result<Found, StoreError> {
        let mode: &[u8] = match walk {
            Walk::Names => b"names",
            Walk::Sweeps => b"sweeps",
        };
        let mut found = Found::default();
        if ids.is_empty() && self.inner.link.is_one_node() {
            // Usually, the script that examines the sessions reveals a replica, because a replica refuses it. Here it
            // would not run, as there are no sessions. In a cluster, a replica redirects all such requests.
            self.newest(&[0]).await?;
        }
        let groups = self.groups(ids, partition);
        for groups in groups.chunks(AT_ONCE) {
            let keys = |ids: &Vec<SessionId>| ids.iter().map(|id| self.inner.keys.session(id)).collect();
            let asked = groups.iter().map(|ids| boxed(self.run_on(&script::WALK, keys(ids), vec![mode]))).collect();
            for (ids, letters) in groups.iter().zip(joined(asked).await) {
                let letters = bytes(letters.map_err(LinkError::of_write)?)?;
                for (id, letter) in ids.iter().zip(letters) {
                    match letter {
                        b'l' => found.live.push(*id),
                        b'r' => found.removed.push(*id),
                        _ => {}
                    }
                }
            }
        }
        Ok(found)
    }

    /// Splits this into groups that one script can work on: everything on one node, otherwise one group for each
    /// partition.
    pub(super) fn groups<T>(&self, all: Vec<T>, partition: impl Fn(&T) -> u16) -> Vec<Vec<T>> {
        if all.is_empty() {
            return Vec::new();
        }
        if self.inner.link.is_one_node() {
            return vec![all];
        }
        let mut groups = std::collections::BTreeMap::<u16, Vec<T>>::new();
        for one in all {
            groups.entry(partition(&one)).or_default().push(one);
        }
        groups.into_values().collect()
    }
}

/// The primary after this one, in the order of their ids.
fn following(primaries: &[Primary], after: Primary) -> Option<Position> {
    let next = primaries.iter().find(|primary| **primary > after);
    next.map(|&primary| Position { primary, cursor: 0 })
}

/// `SCAN` can return a key twice, and there may be many sessions. So a walk remembers eight bytes of each id, which is
/// random.
fn mark(id: &SessionId) -> u64 {
    id.as_uuid().as_u64_pair().1 ^ id.as_uuid().as_u64_pair().0.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_round_trips_through_a_cursor() {
        let at = Position { primary: Primary { id: [7; 20] }, cursor: u64::MAX };
        assert_eq!(Position::read(&at.write()), Some(at));
        assert_eq!(Position::read(&Cursor::from_u64(3)), None);
    }

    #[test]
    fn the_walk_goes_on_after_a_primary_that_is_no_more() {
        let primary = |n| Primary { id: [n; 20] };
        let primaries = [primary(1), primary(3)];
        assert_eq!(following(&primaries, primary(2)), Some(Position { primary: primary(3), cursor: 0 }));
        assert_eq!(following(&primaries, primary(3)), None);
    }
}
