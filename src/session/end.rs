//! The end of a session, whoever asks for it: final, also beside a renewal that is under way.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    commit::{deadline, within},
    owned::find_owned,
    settings::Settings,
};
use crate::{
    error::Result,
    events::EventKind,
    id::{Check, SessionId},
    record::{Record, RecordKind},
    store::{SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage},
};

/// The check of no token.
const NOBODYS: Check = Check::from_bytes([0; 16]);

/// What came of ending a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// This call has ended it.
    Done,
    /// There was none, or somebody else has ended it.
    Absent,
    /// It had been renewed: it lives on under another id, of which this one's holder knows nothing.
    Superseded,
}

/// What is put over a session to end it: a tombstone that no token fits, so that it is to all as if nothing were there.
struct Grave {
    tombstone: Arc<Record>,
    usage: Usage,
    /// A write of it was not answered.
    is_unsure: bool,
}

enum Burial {
    Done,
    /// Nothing is there any more.
    Gone,
    /// Another write was first, or this one was not answered: look again.
    Again,
}

/// Ends what is under an id, whatever its state; what can't be opened is ended, too.
///
/// Not by a plain remove: beside a renewal that would take the tombstone which the renewal has left, and the session
/// lived on under the new id. Of this write and the renewal's one is first, and the other one sees it.
pub(crate) async fn end(settings: &Settings, id: &SessionId) -> Result<End> {
    let deadline = deadline(settings);
    let mut grave = Grave::new(settings);
    let mut is_last = false;
    loop {
        let held = match settings.store.load(id).await {
            Ok(Some(held)) => held,
            Ok(None) => return stays_absent(settings, id).await,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => break,
            Err(error) => return Err(error.during("load").on(id).into()),
        };
        match held.record.kind() {
            RecordKind::Session => {}
            RecordKind::Tombstone if grave.is(&held.record) => return grave.clear(settings, id).await,
            RecordKind::Tombstone if held.record.check() == NOBODYS => return stays_absent(settings, id).await,
            RecordKind::Tombstone => return Ok(End::Superseded),
            // What nothing here opens; and no token leads to an epoch.
            RecordKind::Sealed | RecordKind::Epoch => break,
        }
        match grave.bury(settings, id, &held).await {
            Ok(Burial::Done) => return grave.clear(settings, id).await,
            Ok(Burial::Gone) => return stays_absent(settings, id).await,
            Ok(Burial::Again) if Instant::now() < deadline => {}
            // Others write without a break, or the disk is full: to remove is still possible, and a logout must be. Not
            // without another look: it may have been a renewal that was first.
            Ok(Burial::Again) | Err(_) if !is_last => is_last = true,
            Ok(Burial::Again) | Err(_) => break,
        }
    }
    Ok(if remove_now(settings, id).await? { End::Done } else { End::Absent })
}

/// There is none. A store that has let go of it may have to write down that it is not to come back after a restart; and
/// what somebody else is just ending has ended for certain when this is answered.
async fn stays_absent(settings: &Settings, id: &SessionId) -> Result<End> {
    remove_now(settings, id).await?;
    Ok(End::Absent)
}

/// Ends a session of this owner. `false`, and nothing is changed, if it is not a live one of this owner.
pub(crate) async fn end_owned(settings: &Settings, owner: &str, id: &SessionId) -> Result<bool> {
    let deadline = deadline(settings);
    let mut grave = Grave::new(settings);
    loop {
        match find_owned(settings, owner, id).await? {
            Some(held) => match grave.bury(settings, id, &held).await? {
                Burial::Done => break,
                Burial::Gone => {
                    stays_absent(settings, id).await?;
                    return Ok(false);
                }
                Burial::Again => within(deadline, id)?,
            },
            // The write that was not answered may be what has ended it.
            None if grave.is_under(settings, id).await? => break,
            None => return Ok(false),
        }
    }
    grave.clear(settings, id).await?;
    settings.emit(EventKind::Destroyed { id: *id });
    Ok(true)
}

/// Removes what is under an id, where it is dead already.
pub(crate) async fn remove(settings: &Settings, id: &SessionId) -> Result<bool, StoreError> {
    let was_there = remove_now(settings, id).await?;
    if was_there {
        settings.emit(EventKind::Destroyed { id: *id });
    }
    Ok(was_there)
}

async fn remove_now(settings: &Settings, id: &SessionId) -> Result<bool, StoreError> {
    let outcome = match settings.store.remove(id).await {
        // Whether the first one arrived is told by a second: either way nothing is there afterwards.
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => settings.store.remove(id).await.map(|_| true),
        outcome => outcome,
    };
    outcome.map_err(|error| error.during("remove").on(id))
}

impl Grave {
    fn new(settings: &Settings) -> Self {
        let now = settings.clock.now();
        let tombstone = Arc::new(Record::tombstone(NOBODYS, now));
        let usage = Usage::at(&tombstone, now);
        Self { tombstone, usage, is_unsure: false }
    }

    /// Puts it in the place of this state of a session.
    async fn bury(&mut self, settings: &Settings, id: &SessionId, held: &Stored) -> Result<Burial> {
        match settings.store.update(id, &self.tombstone, &held.version, self.usage).await {
            Ok(Update::Updated(_)) => Ok(Burial::Done),
            Ok(Update::Gone) => Ok(Burial::Gone),
            Ok(Update::Conflict) => Ok(Burial::Again),
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                self.is_unsure = true;
                Ok(Burial::Again)
            }
            Err(error) => Err(error.during("update").on(id).into()),
        }
    }

    /// Whether this is what a write that was not answered has left.
    fn is(&self, record: &Record) -> bool {
        self.is_unsure && *record == *self.tombstone
    }

    async fn is_under(&self, settings: &Settings, id: &SessionId) -> Result<bool> {
        if !self.is_unsure {
            return Ok(false);
        }
        let held = settings.store.load(id).await.map_err(|error| error.during("load").on(id))?;
        Ok(held.is_some_and(|held| self.is(&held.record)))
    }

    /// Removes it. Where the store has acknowledged it the session has ended, whatever comes of that: it is gone within a
    /// minute. Where it has not, it may not last.
    async fn clear(&self, settings: &Settings, id: &SessionId) -> Result<End> {
        match remove_now(settings, id).await {
            Err(error) if self.is_unsure => Err(error.into()),
            Ok(_) | Err(_) => Ok(End::Done),
        }
    }
}
