//! Records, ids and times of these tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Clock,
    id::{SessionId, TokenCheck},
    lifetime::Lifetime,
    record::{Entries, Record},
    store::Usage,
};

pub(super) const FOREVER: Duration = Duration::from_secs(1 << 30);

pub(super) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(super) fn id(name: &str) -> SessionId {
    SessionId::for_epoch(name)
}

/// A session with this text as its only entry.
pub(super) fn record(text: &str) -> Arc<Record> {
    let entries = Entries::from_sorted([("text", text.as_bytes())].into_iter()).unwrap();
    Arc::new(Record::session(TokenCheck::from_bytes([0; 16]), start(), Lifetime::default()).with_entries(entries))
}

pub(super) fn tombstone() -> Arc<Record> {
    Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([0; 16]), start()))
}

pub(super) fn usage() -> Usage {
    Usage::at(&record(""), start())
}

pub(super) fn text(stored: Option<crate::store::Stored>) -> Option<String> {
    Some(String::from_utf8(stored?.record.entries().get("text")?.to_vec()).unwrap())
}

pub(super) fn clock() -> Clock {
    Clock::manual(start())
}
