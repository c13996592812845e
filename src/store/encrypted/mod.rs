//! Records sealed at rest, over any store.
//!
//! - [`EncryptedStore`]: seals what goes into the inner store and opens what comes out.
//! - [`Resealed`]: what sealing anew, or sealing a plain store, came to.
//! - [`SealError`]: why a record is not opened.
//!
//! # What is sealed
//!
//! The entries and the owner's name are encrypted with XChaCha20-Poly1305 under a random nonce of 192 bits. Outside
//! stand, and are bound to them as associated data: the format, the id of the key, the id of the session, when it was
//! created, its lifetime, the check, and the owner's keyed hash and epoch. So a record that was moved to another id,
//! given a longer life or another owner does not open. Nor does a plain one: there is no other way of reading.
//!
//! A sealed record is an ordinary [`Record`](crate::record::Record) of kind [`Sealed`](crate::record::RecordKind::Sealed) with one entry,
//! about 180 bytes larger than the plain one. The inner store needs to know nothing of it; its owner index and its
//! epochs work on the hash.
//!
//! The tombstone of a renewal leads to the session's new id, so it is sealed as well, under its own id. A plain
//! tombstone with a forward is an error. So write access to the store is not enough to lead a token into another
//! session.
//!
//! # What is not
//!
//! Who can **read** the store sees: ids; times of creation, last use and expiry; lifetimes; the check, which is one half
//! of the token's hash and opens nothing; sizes; which key sealed; which sessions have one owner, not who that is; and
//! which ids have tombstones, not where they lead.
//!
//! Who can **write** to the store can, beside deleting and ending sessions (a tombstone, another epoch), do these:
//!
//! - put an **older version of a record back under its own id**, also of a session that was destroyed or renewed since,
//!   and an owner's earlier epoch: that is not detected. It helps only somebody who holds the token of that session.
//! - move a session's sliding expiry, up to its absolute limit, which is sealed.
//!
//! They can't read or change an entry, make a session, give one to another token, lead a token to another session, or
//! extend its absolute limit.
//! A cache outside the sealing, `CachedStore::new(EncryptedStore::new(store, ring))`, keeps opened records in this
//! process's memory: quicker, and no more than the handlers see. `EncryptedStore::new(CachedStore::new(store), ring)`
//! keeps sealed ones, and opens at every load.
//!
//! # When a record is not opened
//!
//! Its load is an error of kind [`Corrupt`](crate::store::StoreErrorKind::Corrupt) with a [`SealError`] as its source, it is
//! reported, and the stored bytes stay as they are: put the key back, and the session is there again. `remove` works on
//! it. Visitors see a 500 until then; a setting of the layer starts them over with a new session instead.
//!
//! A renewal's tombstone that no key opens still supersedes its token, but leads nowhere: retire a key an hour, and the
//! layer's `renewal_grace`, after the last record was sealed with it.
//!
//! # Owners while keys change
//!
//! The inner store knows an owner under one hash for each key, with an epoch for each. A record that another key of the
//! ring sealed is judged by the epoch under *that* key's hash; if it is the present one, the record is handed out with
//! the present epoch under the writing key's hash, which is made if need be. So servers that write with different keys
//! agree on who is logged in. Renewing an epoch renews it under every key, in an order in which no such hand-over can
//! carry a revoked session across. It costs two more round trips for a load of an owner's session that is sealed with
//! a key that does not write: [`reseal_all`](EncryptedStore::reseal_all) ends that.
//!
//! # Cost
//!
//! Opening a record is the cipher's work, with two allocations, and one more for the name of an owner. For records of
//! about a kilobyte a third of it is setting up the AVX2 code of the crate `poly1305`, which pays only for long ones:
//! built with `RUSTFLAGS='--cfg poly1305_backend="soft"'`, a load of 0.8 KB took 2.05 µs in place of 3.05 (one machine, one
//! run, best of 200 rounds).
//!
//! # Events
//!
//! Target `session_layer::store::encrypted`; the inner store reports its own.
//!
//! | level | event | fields |
//! |---|---|---|
//! | error | `record not opened` | `id`, `operation`, `error` |
//! | debug | `record sealed anew` | `id` |
//! | info | `records sealed anew` | `sealed`, `current`, `refused` |

mod error;
mod reseal;
mod seal;
mod store;

#[cfg(fuzzing)]
pub(crate) use self::seal::fuzz as fuzz_sealed;
pub use self::{error::SealError, reseal::Resealed, store::EncryptedStore};
