//! A session as a store keeps it.
//!
//! - [`Record`]: created, lifetime, check, owner and entries; immutable and shared.
//! - [`Entries`]: the encoded values by key, in one allocation.
//! - [`Owner`] and [`Epoch`]: the user or account that a session belongs to.
//! - [`Forward`]: leads to a renewed session; stored in the tombstone at the old id.
//! - `reserved`: the crate's own keys. `renewed`: the time of the last renewal, under one of them.
//! - [`Record::to_bytes`] and [`Record::from_bytes`]: the versioned wire form.

mod entries;
mod error;
mod forward;
mod kind;
mod owner;
#[expect(clippy::module_inception, reason = "the file has the type `Record`")]
mod record;
mod renewed;
mod reserved;
mod wire;

pub use self::{
    entries::{Entries, MAX_KEY_BYTES},
    error::RecordError,
    forward::Forward,
    kind::RecordKind,
    owner::{Epoch, MAX_OWNER_BYTES, Owner, OwnerError},
    record::{Record, TOMBSTONE_LIFETIME},
};
pub(crate) use self::{
    owner::OwnerName,
    renewed::renewed_value,
    reserved::{RENEWED, is_reserved},
    wire::{HEAD_BYTES, OWNER_HEAD_BYTES},
};
