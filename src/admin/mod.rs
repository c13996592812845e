//! Sessions from outside a request: for jobs, pages of operators and command-line tools.
//!
//! - [`Sessions`]: a handle on a store. One session's entries are in `entries`, the store as a whole in `upkeep`.
//! - [`OwnedSession`]: one of an owner's sessions, which are listed and limited in `owners`, ended in `revoke`.
//! - `own`: the sessions of a session's owner, from the session itself.
//! - [`SessionLock`]: a lease that is given back when it is dropped.
//! - [`SessionIds`] and [`SessionIter`]: all ids, or all sessions, a page at a time.
//!
//! # Events
//!
//! What happens to one session is told as for requests (target `session_layer::session`). Beside that:
//!
//! | event | target | level |
//! |---|---|---|
//! | an owner's sessions revoked, all or all others; a session of an owner ended | `session_layer::sessions` | debug |
//! | a session of an owner ended to make room, or as one too many | `session_layer::sessions` | debug |
//! | a revoked session could not be removed yet, or an owner's sessions not be listed; a lease not given back | `session_layer::sessions` | warn |
//! | a login refused at the owner's limit; sessions not counted again, or one too many not ended | `session_layer::sessions` | warn |
//!
//! They hold ids, never an owner's name: names are often e-mail addresses.

mod all;
mod entries;
mod lock;
mod own;
mod owners;
mod revoke;
mod sessions;
mod upkeep;

pub use self::{
    all::{SessionIds, SessionIter},
    lock::SessionLock,
    owners::{DEVICE, OwnedSession},
    sessions::Sessions,
};

/// Where the events above go.
const TARGET: &str = "session_layer::sessions";
