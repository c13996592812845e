//! One request's session.
//!
//! The files from the bottom up; each uses those above it.
//!
//! | | |
//! |---|---|
//! | `policy`, `settings` | what an application chooses for a layer: plain data |
//! | `draft`, `changes`, `seen` | the draft over the loaded record, replayable changes, the entries that were read |
//! | `live` | the sessions that a request deals with |
//! | `outliving` | counts operations that continue if their caller is dropped |
//! | `queue`, `context` | what the requests of a layer share: settings, store, clock, observers, and lines to wait in |
//! | `find`, `owned`, `end`, `owner_limit` | finds a session, lists an owner's, ends one, makes room for one |
//! | `load`, `take_lease`, `request_lease`, `load_leased` | loads the session that a request's tokens name, with its lease if needed |
//! | `work`, `attempt`, `write`, `commit_start` | writes the changes of one commit |
//! | `log`, `failures`, `ending`, `response_notes` | parts of the state: uncommitted changes, failed commits, sessions that end, what the response says |
//! | `state`, `due` | the state of a request's session, and what is due for it |
//! | `request_session`, `debug` | the session of one request, shared by all its handles, and its `Debug` output |
//! | `session` | the handle: [`Session`] |
//! | `destroy`, `commit`, `save`, `closures` | operations on that state: end, commit, save on demand, run closures |
//! | `request` | one request's life in order: **start reading here** |
//! | `at_once` | the final commit without a future, over a store that answers at once |
//! | `caller` | records whose handler is being polled |
//! | `open`, `facts`, `expiry`, `owner`, `token`, `reload` | what handlers call on a session: see also `destroy` and `save` |
//! | `key`, `access`, `update`, `fields`, [`Typed`] | what handlers call on its entries |

mod access;
mod at_once;
mod attempt;
mod caller;
mod changes;
mod closures;
mod commit;
mod commit_start;
mod context;
mod debug;
mod destroy;
mod draft;
mod due;
mod end;
mod ending;
mod expiry;
mod facts;
mod failures;
mod fields;
mod find;
mod key;
mod live;
mod load;
mod load_leased;
mod log;
mod open;
mod outliving;
mod owned;
mod owner;
mod owner_limit;
mod policy;
mod queue;
mod reload;
mod request;
mod request_lease;
mod request_session;
mod response_notes;
mod save;
mod seen;
#[allow(clippy::module_inception, reason = "a file is named after what it holds, here the type `Session`")]
mod session;
mod settings;
mod state;
mod take_lease;
mod token;
mod typed;
mod update;
mod work;
mod write;

#[cfg(feature = "axum")]
pub(crate) use self::caller::report_failed;
pub(crate) use self::{
    at_once::AtOnce,
    caller::{Caller, Polling},
    context::{Context, check_deadline, failed},
    due::Due,
    end::{Ended, end, end_listed, end_owned},
    find::{Follow, Found},
    live::{EndedBeside, Live},
    owner_limit::make_room,
    policy::{OwnerLimit, SaveIf},
    request_session::RequestSession,
    response_notes::ResponseNotes,
    settings::{ExclusiveTimes, Settings},
    take_lease::{Taken, take_lease},
};
pub use self::{
    key::{InsertKey, IntoKey, Key},
    policy::{AtLimit, ConflictPolicy, DamagedPolicy, ResponseHead, SavePolicy},
    session::Session,
    typed::Typed,
};
