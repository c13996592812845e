//! Sessions that checks store.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    clock,
    id::{SessionId, SessionToken, TokenCheck},
    lifetime::Lifetime,
    record::{Entries, Epoch, Forward, MAX_KEY_BYTES, MAX_OWNER_BYTES, Owner, Record, RecordKind},
    store::Usage,
};

/// A session that a check stores.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) id: SessionId,
    pub(super) record: Arc<Record>,
    pub(super) usage: Usage,
}

impl Sample {
    /// A small session under a new id, used now.
    pub(super) fn new(now: SystemTime) -> Self {
        let (id, check) = identity();
        let record = Record::session(check, now, Lifetime::default()).with_entries(entries(&[("name", b"\"first\"")]));
        Self::of(id, record, now)
    }

    /// A session with this record and id.
    pub(super) fn of(id: SessionId, record: Record, now: SystemTime) -> Self {
        let usage = Usage::at(&record, now);
        Self { id, record: Arc::new(record), usage }
    }

    /// The same session with other entries. Equal numbers give equal entries.
    pub(super) fn variant(&self, number: usize) -> Arc<Record> {
        let value = format!("\"variant {number}\"");
        Arc::new((*self.record).clone().with_entries(entries(&[("name", value.as_bytes())])))
    }

    /// The same session, kept by this use.
    pub(super) fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }
}

/// A new id with its check.
pub(super) fn identity() -> (SessionId, TokenCheck) {
    SessionToken::generate().expect("the operating system gives random numbers").identify("conformance")
}

/// A unique tombstone, with a forward.
pub(super) fn tombstone(now: SystemTime) -> Arc<Record> {
    let (to, check) = identity();
    let forward = Forward { to, until: clock::later(now, Duration::from_secs(30)), owner: Some("bob".into()) };
    let tombstone = Record::tombstone(check, now, Duration::from_secs(90), Some(&forward));
    Arc::new(tombstone.expect("the operating system gives random numbers"))
}

/// Entries from these pairs, which must be sorted by key.
pub(super) fn entries(pairs: &[(&str, &[u8])]) -> Entries {
    Entries::from_sorted(pairs.iter().copied()).expect("the kit's keys are short and in order")
}

/// An owner in a fixed epoch.
pub(super) fn owner(name: &str) -> Owner {
    Owner::new(name, Epoch::from_u64(0x0d0a_0000_ffff_0020)).expect("the kit's names are short")
}

/// Entries that might trip up a store, each with a description.
pub(super) fn contents(largest: usize) -> Vec<(&'static str, Entries)> {
    let long_key = "k".repeat(MAX_KEY_BYTES);
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let many: Vec<_> = (0..500).map(|number| format!("key {number:03}")).collect();
    // Around the value, there are 4 bytes of count, 4 of its end, 1 of its key's length and 1 of its key.
    let large: Vec<u8> = (0..largest.saturating_sub(10)).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
    vec![
        ("no entries", Entries::default()),
        ("an empty value", entries(&[("a", b"")])),
        ("every byte", entries(&[("a", &every_byte)])),
        ("zero bytes", entries(&[("a\0b", b"\0\0\0\0"), ("b", b"x\0")])),
        ("line ends", entries(&[("a\r\nb", b"\r\n"), ("b", b"\n\n\r"), ("c", b" \t ")])),
        ("a memcached reply", entries(&[("a", b"EN\r\nHD c1\r\nVA 2 c1 t60 f0\r\nxx\r\nEND\r\n")])),
        ("a memcached command", entries(&[("a", b"x\r\nmd session:a\r\nflush_all\r\n")])),
        ("quotes and SQL", entries(&[("'; DROP TABLE sessions; --", b"\" ' ` \\ $1 ? %s")])),
        ("a path", entries(&[("../../etc/passwd", b"../../../../etc/passwd\0")])),
        ("keys beyond ASCII", entries(&[("\u{e9}", b"1"), ("\u{202e}", b"2"), ("\u{1f512}", b"3")])),
        ("the longest key", entries(&[(&long_key, b"1")])),
        ("a record within the record", {
            let inner = Record::session(identity().1, SystemTime::UNIX_EPOCH, Lifetime::default());
            entries(&[("a", &inner.with_entries(entries(&[("b", b"1")])).to_bytes())])
        }),
        (
            "many entries",
            Entries::from_sorted(many.iter().map(|key| (key.as_str(), key.as_bytes()))).expect("in order"),
        ),
        ("the largest record", entries(&[("a", &large)])),
    ]
}

/// Entries of exactly this many bytes, but at least ten.
pub(super) fn of_size(bytes: usize) -> Entries {
    entries(&[("a", &vec![b'x'; bytes.saturating_sub(10)])])
}

/// Records of every kind and shape, each with a description.
pub(super) fn shapes(now: SystemTime, largest: usize) -> Vec<(String, Record)> {
    let session = || Record::session(identity().1, now, Lifetime::default());
    let longest_owner = "o".repeat(MAX_OWNER_BYTES);
    let mut shapes: Vec<_> = contents(largest)
        .into_iter()
        .map(|(what, entries)| (format!("a session with {what}"), session().with_entries(entries)))
        .collect();
    let small = || entries(&[("a", b"1")]);
    shapes.extend([
        ("a session with an owner".to_owned(), session().with_owner(Some(owner("bob@example.org")))),
        ("an owner's name with line ends".to_owned(), session().with_owner(Some(owner("a\r\nb\0c/../d")))),
        ("the longest owner's name".to_owned(), session().with_owner(Some(owner(&longest_owner)))),
        ("a persistent cookie".to_owned(), session().with_lifetime(Lifetime::aal1().persistent())),
        ("the longest lifetime".to_owned(), {
            let longest = Lifetime::new(Duration::MAX, Duration::MAX);
            session().with_lifetime(longest.expect("longer than a second"))
        }),
        ("an all-zero check".to_owned(), session().with_check(TokenCheck::from_bytes([0; 16])).with_entries(small())),
        (
            "an all-ones check".to_owned(),
            session().with_check(TokenCheck::from_bytes([0xff; 16])).with_entries(small()),
        ),
        ("a plain tombstone".to_owned(), Record::plain_tombstone(identity().1, now)),
        ("a tombstone with a forward".to_owned(), Record::clone(&tombstone(now))),
        ("an epoch".to_owned(), Record::epoch(owner("bob@example.org"), now)),
        ("a sealed record".to_owned(), {
            let sealed: Vec<u8> = (0..200u8).map(|at| at.wrapping_mul(37)).collect();
            session().with_kind(RecordKind::Sealed).with_entries(entries(&[("s", &sealed)]))
        }),
    ]);
    shapes
}
