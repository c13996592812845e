//! Encryption at rest, for any store.
//!
//! - [`EncryptedStore`]: seals records before they go into the inner store, and opens those that come out.
//! - [`Resealed`]: the result of resealing a store, or of sealing a plain one.
//! - [`SealError`]: why a record could not be opened.
//!
//! # What is sealed
//!
//! The entries and the owner's name are encrypted with XChaCha20-Poly1305 under a random nonce of 192 bits. Stored in
//! plain text, and bound to them as associated data, are: the format, the id of the key, the id of the session, when it
//! was created, its lifetime, the check, and the owner's keyed hash and epoch. So a record does not open if it was
//! moved to another id or given a longer life or another owner. A record that is not sealed is refused: there is no
//! fallback.
//!
//! A sealed record is an ordinary [`Record`](crate::record::Record) of kind
//! [`Sealed`](crate::record::RecordKind::Sealed) with one entry, about 180 bytes larger than the plain one. The inner
//! store needs no knowledge of sealing; its owner index and its epochs use the hash.
//!
//! The tombstone of a renewal leads to the session's new id, so it is sealed as well, under its own id. A plain
//! tombstone with a forward is an error. So write access to the store is not enough to redirect a token to another
//! session.
//!
//! # What is not sealed
//!
//! Someone who can **read** the store sees: ids; times of creation, last use and expiry; lifetimes; the check, which is
//! one half of the token's hash and opens nothing; sizes; which key sealed a record; which sessions have the same
//! owner, but not who that is; and which ids have tombstones, but not where they lead.
//!
//! Someone who can **write** to the store can delete and end sessions (with a tombstone, or another epoch), and can
//! also:
//!
//! - put an **older version of a record back under its own id**, even of a session that was ended or renewed since, and
//!   an owner's earlier epoch: that is not detected. It helps only somebody who holds the token of that session.
//! - move a session's sliding expiry, up to its absolute limit, which is sealed.
//!
//! They can't read or change an entry, create a session, give one to another token, redirect a token to another
//! session, or extend a session's absolute limit.
//!
//! # With a cache
//!
//! `CachedStore::new(EncryptedStore::new(store, ring))` caches opened records in this process's memory. That is faster,
//! and exposes no more than the handlers see. `EncryptedStore::new(CachedStore::new(store), ring)` caches sealed
//! records, and opens one at every load.
//!
//! # When a record can't be opened
//!
//! Loading it fails with an error of kind [`Corrupt`](crate::store::StoreErrorKind::Corrupt) with a [`SealError`] as
//! its source. The failure is reported, and the stored bytes stay as they are: if the key is put back, the session is
//! available again. `remove` works on such a record. Visitors see a 500 until then; a setting of the layer lets them
//! start over with a new session instead.
//!
//! A renewal's tombstone whose key was retired still supersedes its token, but leads nowhere. So retire a key an hour,
//! plus the layer's `renewal_grace`, after the last record was sealed with it.
//!
//! # Owners while keys change
//!
//! The inner store has an owner under one hash for each key, with an epoch for each. A record that another key of the
//! ring sealed is judged by the epoch under *that* key's hash. If that is the current one, the record is returned with
//! the current epoch under the writing key's hash, which is created if there is none. So servers that write with
//! different keys agree on who is logged in. Renewing an epoch renews it under every key, in an order that lets no such
//! hand-over carry a revoked session across. Loading an owner's session that is sealed with a key that does not write
//! costs two more round trips: [`reseal_all`](EncryptedStore::reseal_all) ends that.
//!
//! # Cost
//!
//! Opening a record costs the cipher's work and two allocations, and one more for the name of an owner. For records of
//! about a kilobyte, a third of the time is spent setting up the AVX2 code of the crate `poly1305`, which pays only for
//! long ones. Built with `RUSTFLAGS='--cfg poly1305_backend="soft"'`, a load of 0.8 KB took 2.05 µs instead of 3.05 µs
//! (one machine, one run, best of 200 rounds).
//!
//! # Events
//!
//! Target `session_layer::store::encrypted`; the inner store reports its own.
//!
//! | level | event | fields |
//! |---|---|---|
//! | error | `record not opened` | `id`, `operation`, `error` |
//! | debug | `record resealed` | `id` |
//! | info | `records resealed` | `sealed`, `current`, `refused` |

mod error;
mod reseal;
mod seal;
mod store;

#[cfg(fuzzing)]
pub(crate) use self::seal::fuzz as fuzz_sealed;
pub use self::{error::SealError, reseal::Resealed, store::EncryptedStore};
