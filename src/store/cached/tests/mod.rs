mod behaviour;
#[cfg(session_layer_shuttle)]
mod interleavings;
mod store;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use self::store::TestStore;
use crate::{
    Clock,
    id::{SessionId, TokenCheck},
    lifetime::Lifetime,
    record::{Entries, Record},
    store::Usage,
};

const FOREVER: Duration = Duration::from_secs(1 << 30);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn id(name: &str) -> SessionId {
    SessionId::for_epoch(name)
}

/// A session with this text as its only entry.
fn record(text: &str) -> Arc<Record> {
    let entries = Entries::from_sorted([("text", text.as_bytes())].into_iter()).unwrap();
    Arc::new(Record::session(TokenCheck::from_bytes([0; 16]), start(), Lifetime::default()).with_entries(entries))
}

fn tombstone() -> Arc<Record> {
    Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([0; 16]), start()))
}

fn usage() -> Usage {
    Usage::at(&record(""), start())
}

fn text(stored: Option<crate::store::Stored>) -> Option<String> {
    Some(String::from_utf8(stored?.record.entries().get("text")?.to_vec()).unwrap())
}

fn clock() -> Clock {
    Clock::manual(start())
}
