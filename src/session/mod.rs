//! One request's session.
//!
//! - [`Session`]: what handlers hold. `access` has its entries, `update` their updates by closures, `lifecycle` its
//!   beginning and end.
//! - [`Typed`]: a session as a struct of the application. `fields` converts between the struct and the entries.
//! - `reporting`: reports events of the session.
//! - `changes`: a draft over the loaded record, and the log of changes that can be replayed. `run`: runs the
//!   application's closures. `seen`: which entries the request has read.
//! - `request`: the life of one request's session, from the first load to the last commit. `state`: what it knows, shared by
//!   everything in the request. `saving`: commits that the application asks for, and those that fail. `plan`: what one commit
//!   has to do. `destroy`: the sessions that the request ends. `caller`: whose handler is being polled.
//! - `load`, `commit`, `queue`: from the tokens to the record, and from the changes to the store.
//! - `end`: ends a session, whoever asks for it.
//! - `lease`: asks the store for a lease. `turn`, `exclusive`: run requests of one session one after another, if the
//!   layer is set to.
//! - `owned`, `limit`: the sessions of one owner, and how many there can be.
//! - `settings`: the settings of one layer.

mod access;
mod caller;
mod changes;
mod commit;
mod destroy;
mod end;
mod exclusive;
mod fields;
mod key;
mod lease;
mod lifecycle;
mod limit;
mod load;
mod owned;
mod plan;
mod queue;
mod reporting;
mod request;
mod run;
mod saving;
mod seen;
mod settings;
mod state;
mod turn;
mod typed;
mod update;

use std::{fmt, sync::Arc};

#[cfg(feature = "axum")]
pub(crate) use self::reporting::report_failed;
pub(crate) use self::{
    caller::{Caller, Polling},
    commit::{after, deadline, within},
    end::{Ended, end, end_owned, remove},
    lease::{Taken, take as take_lease},
    limit::{Limit, make_room},
    load::{Follow, Found, LoadFailure, find},
    owned::{find_owned, list_owned},
    request::{Finish, Shared, to_its_end},
    settings::{SaveIf, Settings},
    state::{Answer, EndedBeside, Live},
    turn::Exclusive,
};
pub use self::{
    key::{IntoKey, Key},
    limit::AtLimit,
    settings::{ConflictPolicy, DamagedPolicy, ResponseHead, SavePolicy},
    typed::Typed,
};

/// The session of one visitor in one request.
///
/// A handler asks for it as an argument. It is loaded by then, so everything but talking to the store is synchronous;
/// it is committed when the handler has answered, if it has changed. Clones share one state, and so does every other
/// extraction in the same request.
///
/// # After the response has begun
///
/// A stream or a socket can keep a clone. What it changes then is written by [`save`](Self::save); what nobody saves is
/// dropped, with an event. A cookie can't be sent any more, so what would need one is
/// [`ResponseStarted`](crate::ErrorKind::ResponseStarted).
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// The session of what was loaded.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
