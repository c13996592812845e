use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::{form::*, owner_hash::*};
use crate::{
    id::{SessionId, TokenCheck},
    keyring::{KEY_ID_BYTES, KeyRing, Secret},
    lifetime::Lifetime,
    record::{Entries, Epoch, Owner, Record, RecordKind},
    store::SealError,
};

fn ring(first: u8) -> KeyRing {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(first));
    KeyRing::new(Secret::from_bytes(bytes).unwrap())
}

fn lifetime() -> Lifetime {
    Lifetime::new(Duration::from_secs(3_600), Duration::from_secs(86_400)).unwrap().persistent()
}

fn reference() -> Record {
    let created = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let pairs = [("n", &b"\x0142"[..]), ("user", &b"\x01\"bob\""[..])];
    Record::session(TokenCheck::from_bytes(*b"0123456789abcdef"), created, lifetime())
        .with_owner(Some(Owner::new("bob@example.org", Epoch::from_u64(7)).unwrap()))
        .with_entries(Entries::from_sorted(pairs.into_iter()).unwrap())
}

fn id(name: &str) -> SessionId {
    SessionId::for_epoch(name)
}

fn with_value(outer: &Record, value: &[u8]) -> Arc<Record> {
    Arc::new(outer.clone().with_entries(Entries::from_sorted([(ENTRY, value)].into_iter()).unwrap()))
}

fn value(outer: &Record) -> Vec<u8> {
    outer.entries().get(ENTRY).unwrap().to_vec()
}

fn refusal(ring: &KeyRing, id: &SessionId, outer: &Arc<Record>) -> SealError {
    match open(ring, id, outer) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// Every later version opens what 0.1.0 sealed. Computed by another implementation (in Python, from the drafts).
#[test]
fn frozen_vector() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sealed = seal_with(ring(1).writing(), &[9; NONCE_BYTES], &id("x"), &reference());
    assert_eq!(&**sealed.owner().unwrap().name(), "iCyaU0e_SHjNeOeDAIA8McS9dhkyLhiF");
    assert_eq!(
        hex(&value(&sealed)),
        "01000f0063b9af377f480909090909090909090909090909090909090909090909096e3279614bdff6618695420b79bf96484cc87693771ccda90dd40e20202d0cb28a31f26cd2307fe8f47a52a14e4eea9df3a0b06329e9a9ae1f6886"
    );
    assert_eq!(*open(&ring(1), &id("x"), &sealed).unwrap().record, reference());
}

#[test]
fn every_kind_comes_back_and_listings_see_its_kind() {
    for kind in [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch, RecordKind::Sealed] {
        for owner in [reference().owner().cloned(), None] {
            for entries in [reference().entries().clone(), Entries::default()] {
                let record = reference().with_kind(kind).with_owner(owner.clone()).with_entries(entries);
                let sealed = seal(&ring(1), &id("x"), &record).unwrap();
                assert_eq!(*open(&ring(1), &id("x"), &sealed).unwrap().record, record);
                assert_eq!(sealed.is_session(), record.is_session());
                assert_eq!(sealed.absolute_limit(), record.absolute_limit());
                let bytes = sealed.to_bytes();
                for secret in [&b"bob"[..], b"user"] {
                    assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{kind:?} shows {secret:?}");
                }
            }
        }
    }
}

#[test]
fn large_records_are_opened_as_well() {
    for size in [0, 1, STACK_BYTES - 40, STACK_BYTES, 200_000] {
        let value = vec![b'v'; size];
        let entries = Entries::from_sorted([("k", &*value)].into_iter()).unwrap();
        let record = reference().with_entries(entries);
        let sealed = seal(&ring(1), &id("x"), &record).unwrap();
        assert_eq!(*open(&ring(1), &id("x"), &sealed).unwrap().record, record, "{size}");
    }
}

/// Two seals of one record have nothing in common: nonces are random.
#[test]
fn nonces_differ() {
    let [a, b] = [0, 1].map(|_| value(&seal(&ring(1), &id("x"), &reference()).unwrap()));
    assert_ne!(a[HEAD_BYTES..], b[HEAD_BYTES..]);
}

/// Changes every bit of the value, cuts it at every length, and makes it longer.
#[test]
fn every_changed_byte_is_refused() {
    let sealed = seal(&ring(1), &id("x"), &reference()).unwrap();
    let value = value(&sealed);
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut changed = value.clone();
            changed[at] ^= 1 << bit;
            let error = refusal(&ring(1), &id("x"), &with_value(&sealed, &changed));
            if at >= HEAD_BYTES {
                assert_eq!(error, SealError::Broken, "{at}");
            }
        }
        refusal(&ring(1), &id("x"), &with_value(&sealed, &value[..at]));
    }
    refusal(&ring(1), &id("x"), &with_value(&sealed, &[&value[..], b"x"].concat()));
}

/// Changes every bit of the whole stored record, outside and inside the seal.
#[test]
fn every_changed_byte_of_the_wire_form_is_refused() {
    let sealed = seal(&ring(1), &id("x"), &reference()).unwrap();
    let bytes = sealed.to_bytes();
    for at in 0..bytes.len() {
        for xor in (0..8).map(|bit| 1 << bit) {
            let mut changed = bytes.clone();
            changed[at] ^= xor;
            let Ok(record) = Record::from_bytes(&changed) else { continue };
            match open(&ring(1), &id("x"), &Arc::new(record)) {
                Err(_) => {}
                Ok(opened) => panic!("byte {at} changed by {xor} opens as {:?}", opened.record),
            }
        }
    }
}

#[test]
fn the_parts_outside_the_seal_are_bound_to_it() {
    let sealed = seal(&ring(1), &id("x"), &reference()).unwrap();
    let longer = Lifetime::new(lifetime().idle(), lifetime().absolute() * 2).unwrap().persistent();
    let idler = Lifetime::new(lifetime().idle() * 2, lifetime().absolute()).unwrap().persistent();
    let hash = Arc::clone(sealed.owner().unwrap().name());
    let other = owner_hash(ring(1).writing(), "eve");
    let changed = [
        sealed.as_ref().clone().with_lifetime(longer),
        sealed.as_ref().clone().with_lifetime(idler),
        sealed.as_ref().clone().with_lifetime(lifetime().browser()),
        sealed.as_ref().clone().with_created_at(sealed.created_at() + Duration::from_millis(1)),
        sealed.as_ref().clone().with_check(TokenCheck::from_bytes([1; 16])),
        sealed.as_ref().clone().with_kind(RecordKind::Tombstone),
        sealed.as_ref().clone().with_kind(RecordKind::Epoch),
        sealed.as_ref().clone().with_owner(Some(Owner::new(hash, Epoch::from_u64(8)).unwrap())),
        sealed.as_ref().clone().with_owner(Some(Owner::new(other, Epoch::from_u64(7)).unwrap())),
    ];
    for changed in changed {
        assert_eq!(refusal(&ring(1), &id("x"), &Arc::new(changed)), SealError::Broken);
    }
    assert_eq!(refusal(&ring(1), &id("y"), &sealed), SealError::Broken, "moved to another id");
    let ownerless = Arc::new(sealed.as_ref().clone().with_owner(None));
    assert_eq!(refusal(&ring(1), &id("x"), &ownerless), SealError::Form);
}

/// A wrong key is distinguished from a broken seal, and one key's id does not lead to another key's seal.
#[test]
fn another_key_does_not_open() {
    let sealed = seal(&ring(1), &id("x"), &reference()).unwrap();
    let key = ring(1).writes_with();
    assert_eq!(refusal(&ring(2), &id("x"), &sealed), SealError::UnknownKey(key));

    let mut value = value(&sealed);
    value[HEAD_BYTES - KEY_ID_BYTES..HEAD_BYTES].copy_from_slice(&ring(2).writes_with().to_bytes());
    let both = ring(1).opening(secret(2)).unwrap();
    assert_eq!(refusal(&both, &id("x"), &with_value(&sealed, &value)), SealError::Broken);

    let turned = ring(2).opening(secret(1)).unwrap();
    let opened = open(&turned, &id("x"), &sealed).unwrap();
    assert_eq!(opened.foreign, Some(key));
    assert_eq!(*opened.record, reference());
}

fn secret(first: u8) -> Secret {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(first));
    Secret::from_bytes(bytes).unwrap()
}

/// A plain record is never read, whatever kind it claims to be. A plain tombstone and a plain epoch have no content to
/// read.
#[test]
fn plain_records_are_refused() {
    let ring = ring(1);
    let plain = Arc::new(reference());
    assert_eq!(refusal(&ring, &id("x"), &plain), SealError::NotSealed);
    for kind in [RecordKind::Sealed, RecordKind::Tombstone, RecordKind::Epoch] {
        for owner in [reference().owner().cloned(), None] {
            let record = reference().with_kind(kind).with_owner(owner);
            assert_eq!(refusal(&ring, &id("x"), &Arc::new(record)), SealError::Form, "{kind:?}");
        }
    }
    let json = with_value(&reference().with_kind(RecordKind::Sealed), br#"{"user":"bob"}"#);
    assert_eq!(refusal(&ring, &id("x"), &json), SealError::Form);
    // A tombstone with an owner, and an epoch under a session's id.
    let tombstone = reference().with_kind(RecordKind::Tombstone).with_entries(Entries::default());
    assert_eq!(refusal(&ring, &id("x"), &Arc::new(tombstone)), SealError::Form);
    let epoch = Record::epoch(reference().owner().unwrap().clone(), UNIX_EPOCH);
    assert_eq!(refusal(&ring, &id("x"), &Arc::new(epoch)), SealError::Form);
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens(
        map in proptest::collection::btree_map("[a-z]{1,8}", proptest::collection::vec(any::<u8>(), 0..64), 0..8),
        owner in proptest::option::of("\\PC{1,40}"),
        epoch: u64,
    ) {
        let entries = Entries::from_sorted(map.iter().map(|(key, value)| (key.as_str(), value.as_slice()))).unwrap();
        let owner = owner.map(|name| Owner::new(name, Epoch::from_u64(epoch)).unwrap());
        let record = reference().with_entries(entries).with_owner(owner);
        let sealed = seal(&ring(1), &id("x"), &record).unwrap();
        prop_assert_eq!(&*open(&ring(1), &id("x"), &sealed).unwrap().record, &record);
    }

    #[test]
    fn hostile_values_never_open_and_never_panic(bytes: Vec<u8>, kind in 0..4u8, keyed: bool, named: bool) {
        let kind = [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch, RecordKind::Sealed][usize::from(kind)];
        let owner = named.then(|| Owner::new("x".repeat(OWNER_HASH_CHARS), Epoch::from_u64(1)).unwrap());
        let mut value = bytes;
        if keyed {
            // Past the head, so that the cipher itself is reached.
            let length = u8::from(named);
            value.splice(0..0, [[FORMAT, 0, length, 0].as_slice(), &ring(1).writes_with().to_bytes()].concat());
        }
        let outer = with_value(&reference().with_kind(kind).with_owner(owner), &value);
        prop_assert!(open(&ring(1), &id("x"), &outer).is_err());
    }
}
