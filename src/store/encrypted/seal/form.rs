//! The format of a sealed record: what is encrypted, what is not, and how both are bound together.

use std::sync::Arc;

use chacha20poly1305::{AeadInOut, Tag, XNonce, aead::inout::InOutBuf};

use super::owner_hash::{OWNER_HASH_CHARS, owner_hash};
use crate::{
    clock,
    id::{EntropyError, SessionId},
    keyring::{KEY_ID_BYTES, KeyId, KeyRing, RingKey},
    lifetime::CookieLifetime,
    record::{Entries, Owner, Record, RecordError, RecordKind},
    store::encrypted::error::SealError,
};

/// The format that this version writes. Every later version opens it.
pub(super) const FORMAT: u8 = 1;

/// The key of the one entry that a sealed record has.
pub(super) const ENTRY: &str = "sealed";

pub(super) const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The length of format, inside, length of the owner's name, and id of the key.
pub(super) const HEAD_BYTES: usize = 1 + 1 + 2 + KEY_ID_BYTES;

/// The length of head, kind, id, created, idle, absolute, cookie, check, whether there is an owner, its hash, its
/// epoch; then zeros up to a multiple of 64 bytes. So the rest of the MAC's input begins where Poly1305 takes four
/// blocks at a time.
const BOUND_BYTES: usize =
    (HEAD_BYTES + 1 + 16 + 8 + 8 + 8 + 1 + 16 + 1 + OWNER_HASH_CHARS + 8_usize).next_multiple_of(64);

/// Up to this size, a record with an owner is decrypted on the stack, without a temporary allocation. The stack is not
/// wiped: the opened record itself stays in memory as long as the request.
pub(super) const STACK_BYTES: usize = 2_048;

/// An opened record.
pub(in crate::store::encrypted) struct Opened {
    pub(in crate::store::encrypted) record: Arc<Record>,
    /// The key that sealed it, if it is not the writing key.
    pub(in crate::store::encrypted) foreign: Option<KeyId>,
}

/// Seals a record for this id with the writing key.
pub(in crate::store::encrypted) fn seal(
    ring: &KeyRing,
    id: &SessionId,
    record: &Record,
) -> Result<Arc<Record>, EntropyError> {
    let key = ring.writing();
    let mut nonce = [0; NONCE_BYTES];
    crate::id::fill_random(&mut nonce)?;
    Ok(seal_with(key, &nonce, id, record))
}

/// ```text
/// format = 1: u8 │ inside: u8 │ length of the owner's name: u16 │ id of the key: 6 bytes │ nonce: 24 bytes │
/// sealed: owner's name, entries │ tag: 16 bytes
/// ```
///
/// `inside` is 1 if the record inside is a sealed one itself (two wrappers), otherwise 0.
pub(super) fn seal_with(key: &RingKey, nonce: &[u8; NONCE_BYTES], id: &SessionId, record: &Record) -> Arc<Record> {
    let kind = match record.kind() {
        RecordKind::Session | RecordKind::Sealed => RecordKind::Sealed,
        kind @ (RecordKind::Tombstone | RecordKind::Epoch) => kind,
    };
    let outer = Record::session(record.check(), record.created_at(), record.lifetime()).with_kind(kind);
    if kind == RecordKind::Tombstone && record.owner().is_none() && record.entries().is_empty() {
        // The record has nothing to hide.
        return Arc::new(outer);
    }
    let (name, owner) = match record.owner() {
        None => ("", None),
        Some(owner) => {
            let hash = Owner::new(owner_hash(key, owner.name()), owner.epoch());
            (&**owner.name(), Some(hash.expect("a hash has 32 bytes")))
        }
    };
    let outer = outer.with_owner(owner);
    let entries = record.entries().as_bytes();
    let mut value = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + name.len() + entries.len() + TAG_BYTES);
    value.extend([FORMAT, u8::from(record.kind() == RecordKind::Sealed)]);
    value.extend(u16::try_from(name.len()).expect("an owner's name has at most 1,024 bytes").to_le_bytes());
    value.extend(key.id.to_bytes());
    let bound = bound(&value, id, &outer);
    value.extend(nonce);
    value.extend(name.as_bytes());
    value.extend(entries);
    let tag = key
        .record
        .encrypt_inout_detached(&XNonce::from(*nonce), &bound, (&mut value[HEAD_BYTES + NONCE_BYTES..]).into())
        .expect("a record is shorter than 256 GiB");
    value.extend(tag);
    let entries = Entries::from_sorted([(ENTRY, &*value)].into_iter());
    Arc::new(outer.with_entries(entries.expect("one entry is in order; records are limited far below 4 GiB")))
}

/// Opens the record that the inner store has under this id. Plain records that reveal nothing are returned as they are:
/// a tombstone without owner and entries, and the epoch of an owner's hash.
pub(in crate::store::encrypted) fn open(
    ring: &KeyRing,
    id: &SessionId,
    outer: &Arc<Record>,
) -> Result<Opened, SealError> {
    let plain = Opened { record: Arc::clone(outer), foreign: None };
    match (outer.kind(), outer.owner(), outer.entries().is_empty()) {
        (RecordKind::Session, ..) => return Err(SealError::NotSealed),
        (RecordKind::Tombstone, None, true) => return Ok(plain),
        (RecordKind::Epoch, Some(owner), true) if *id == SessionId::for_epoch(owner.name()) => return Ok(plain),
        _ => {}
    }
    let value = outer.entries().get(ENTRY).filter(|_| outer.entries().len() == 1).ok_or(SealError::Form)?;
    let (head, rest) = value.split_first_chunk::<HEAD_BYTES>().ok_or(SealError::Form)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Form)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SealError::Form)?;
    let &[FORMAT, inside @ 0..=1, length_low, length_high, ref key_id @ ..] = head else {
        return Err(SealError::Form);
    };
    let name_length = usize::from(u16::from_le_bytes([length_low, length_high]));
    let owner_fits = match outer.owner() {
        None => name_length == 0,
        Some(owner) => name_length > 0 && owner.name().len() == OWNER_HASH_CHARS,
    };
    if !owner_fits || name_length > sealed.len() {
        return Err(SealError::Form);
    }
    let key_id = KeyId::from_bytes(*key_id);
    let key = ring.key(key_id).ok_or(SealError::UnknownKey(key_id))?;
    let bound = bound(head, id, outer);

    let decrypt = |to: &mut [u8]| {
        let inout = InOutBuf::new(sealed, to).map_err(|_| SealError::Form)?;
        let opened = key.record.decrypt_inout_detached(&XNonce::from(*nonce), &bound, inout, &Tag::from(*tag));
        opened.map_err(|_| SealError::Broken)
    };
    let split = |buffer: &mut [u8]| {
        decrypt(buffer)?;
        let (name, entries) = buffer.split_at(name_length);
        rebuild(outer, inside, name, Entries::from_bytes(entries))
    };
    let record = if name_length == 0 {
        // Only entries are sealed, so decrypt them into their final allocation.
        let mut entries = vec![0; sealed.len()].into_boxed_slice();
        decrypt(&mut entries)?;
        rebuild(outer, inside, &[], Entries::from_boxed(entries))
    } else if sealed.len() <= STACK_BYTES {
        split(&mut [0; STACK_BYTES][..sealed.len()])
    } else {
        split(&mut vec![0; sealed.len()])
    };
    Ok(Opened { record: Arc::new(record?), foreign: (key_id != ring.writes_with()).then_some(key_id) })
}

/// Builds the opened record. Times, check and epoch are taken from the outer record, to which they are bound; the rest
/// was encrypted.
fn rebuild(
    outer: &Record,
    inside: u8,
    name: &[u8],
    entries: Result<Entries, RecordError>,
) -> Result<Record, SealError> {
    let kind = match (outer.kind(), inside) {
        (RecordKind::Sealed, 0) => RecordKind::Session,
        (kind, 0) | (kind @ RecordKind::Sealed, _) => kind,
        _ => return Err(SealError::Form),
    };
    let owner = match outer.owner() {
        None => None,
        Some(owner) => {
            let name = std::str::from_utf8(name).map_err(|_| SealError::Form)?;
            Some(Owner::new(name, owner.epoch()).map_err(|_| SealError::Form)?)
        }
    };
    Ok(outer.opened(kind, owner, entries.map_err(|_| SealError::Form)?))
}

/// The associated data: everything that a sealed record must not be separated from. Each field has a fixed place and
/// length.
fn bound(head: &[u8], id: &SessionId, outer: &Record) -> [u8; BOUND_BYTES] {
    let mut bytes = [0; BOUND_BYTES];
    let mut rest = &mut bytes[..];
    let mut put = |field: &[u8]| {
        let (place, after) = std::mem::take(&mut rest).split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = after;
    };
    put(head);
    put(&[match outer.kind() {
        RecordKind::Session => 0,
        RecordKind::Tombstone => 1,
        RecordKind::Epoch => 2,
        RecordKind::Sealed => 3,
    }]);
    put(id.as_bytes());
    put(&outer.created_millis().to_le_bytes());
    put(&clock::duration_millis(outer.lifetime().idle()).to_le_bytes());
    put(&clock::duration_millis(outer.lifetime().absolute()).to_le_bytes());
    put(&[u8::from(outer.lifetime().cookie() == CookieLifetime::Persistent)]);
    put(&outer.check().to_bytes());
    if let Some(owner) = outer.owner() {
        put(&[1]);
        put(owner.name().as_bytes());
        put(&owner.epoch().to_u64().to_le_bytes());
    }
    bytes
}

/// For the fuzz target: a record that this ring did not seal for this id does not open.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    use std::time::{Duration, UNIX_EPOCH};

    use crate::{id::TokenCheck, keyring::Secret, lifetime::Lifetime, record::Epoch};

    let secret = |first: u8| {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i as u8).wrapping_mul(37).wrapping_add(first));
        Secret::from_bytes(bytes).expect("different bytes")
    };
    let ring = KeyRing::new(secret(1)).opening(secret(2)).expect("another secret");
    let id = SessionId::for_epoch("x");
    let created = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let pairs = [("n", &b"\x0142"[..]), ("user", &b"\x01\"bob\""[..])];
    let plain = Record::session(TokenCheck::from_bytes([5; 16]), created, Lifetime::default())
        .with_entries(Entries::from_sorted(pairs.into_iter()).expect("in order"));
    let Some((&how, data)) = data.split_first() else { return };
    let owner = (how & 0x80 != 0).then(|| Owner::new("bob@example.org", Epoch::from_u64(7)).expect("a name"));
    let plain = plain.with_owner(owner);
    let sealed = seal_with(ring.writing(), &[9; NONCE_BYTES], &id, &plain);
    let (opened, original) = match how & 0x7f {
        // A record of any bytes.
        0..0x20 => {
            let Ok(record) = Record::from_bytes(data) else { return };
            (Arc::new(record), None)
        }
        // Any bytes under the seal's head.
        0x20..0x40 => {
            let value = sealed.entries().get(ENTRY).expect("the entry");
            let value = [&value[..HEAD_BYTES], data].concat();
            let entries = Entries::from_sorted([(ENTRY, &*value)].into_iter()).expect("one entry");
            (Arc::new((*sealed).clone().with_entries(entries)), None)
        }
        // A seal whose stored form was changed.
        _ => {
            let mut bytes = sealed.to_bytes();
            crate::fuzzing::tamper(&mut bytes, data);
            let Ok(record) = Record::from_bytes(&bytes) else { return };
            (Arc::new(record), Some(sealed))
        }
    };
    match open(&ring, &id, &opened) {
        Err(_) => {}
        // Plain, and empty.
        Ok(found) if Arc::ptr_eq(&found.record, &opened) => {
            assert!(opened.entries().is_empty() && !opened.is_session());
        }
        Ok(found) => {
            assert!(original.is_some_and(|sealed| sealed == opened), "a forged seal opens");
            assert_eq!(*found.record, plain);
        }
    }
}
