//! Sessions outside a request: for jobs, operators' pages and command-line tools.
//!
//! - [`Sessions`]: a handle on a store. `entries` has the methods for one session's entries, `upkeep` those for the
//!   whole store.
//! - [`OwnedSession`]: one of an owner's sessions. `owners` lists and limits them, `revoke` ends them.
//! - `own`: the sessions of a session's owner, from the session itself.
//! - [`SessionLease`]: a lease that is released when it is dropped.
//! - [`SessionIds`] and [`SessionIter`]: all ids, or all sessions, a page at a time.
//!
//! # Events
//!
//! Events of one session are the same as in requests, with the target `session_layer::session`. The events of an owner's
//! sessions and of leases have the target `session_layer::sessions`. All of them are in [the crate's table](crate#events).
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
