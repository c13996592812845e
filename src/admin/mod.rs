//! Sessions outside a request: for jobs, operators' pages and command-line tools.
//!
//! - [`Sessions`]: a handle on a store. `entries` has the methods for one session's entries, `upkeep` those for the
//!   whole store.
//! - [`OwnedSession`]: one of an owner's sessions. `owners` lists and limits them, `revoke` ends them.
//! - `own`: the sessions of a session's owner, from the session itself.
//! - [`SessionLease`]: a lease that is given back when it is dropped.
//! - [`SessionIds`] and [`SessionIter`]: all ids, or all sessions, a page at a time.
//!
//! # Events
//!
//! Events of one session are the same as in requests (target `session_layer::session`). These `tracing` events are
//! added:
//!
//! | event | target | level |
//! |---|---|---|
//! | an owner's sessions revoked, all or all others; a session of an owner ended | `session_layer::sessions` | debug |
//! | a session of an owner ended to make room, or as one too many | `session_layer::sessions` | debug |
//! | a revoked session could not be removed yet, or an owner's sessions not be listed; a lease not given back | `session_layer::sessions` | warn |
//! | a login refused at the owner's limit; sessions not counted again, or one too many not ended | `session_layer::sessions` | warn |
//!
//! They contain ids, never an owner's name: names are often e-mail addresses.

mod all;
mod entries;
mod lease;
mod own;
mod owners;
mod revoke;
mod sessions;
mod upkeep;

pub use self::{
    all::{SessionIds, SessionIter},
    lease::SessionLease,
    owners::{DEVICE, OwnedSession},
    sessions::Sessions,
};
