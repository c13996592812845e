//! The contract's provided methods as functions.
//!
//! A store that has a shortcut for some cases overrides the method, and calls the function of the same name for the
//! others.

use std::{sync::Arc, time::SystemTime};

use super::{Create, End, Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage, Version};
use crate::{
    id::{EntropyError, SessionId},
    record::{Epoch, Owner, Record, RecordKind},
};

/// [`SessionStore::end`]: updates the record to a [`Record::grave`] and then removes that.
///
/// # Errors
///
/// As [`SessionStore::end`].
pub async fn end<S: SessionStore + ?Sized>(
    store: &S,
    id: &SessionId,
    expected: &Version,
    now: SystemTime,
) -> Result<End, StoreError> {
    let grave = Arc::new(Record::grave(now).map_err(no_randomness)?);
    let is_acknowledged = match store.update(id, &grave, expected, Usage::at(&grave, now)).await {
        Ok(Update::Updated(_)) => true,
        Ok(Update::Conflict(stored)) => return Ok(End::Conflict(stored)),
        Ok(Update::Gone) => return Ok(End::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => match store.load(id).await {
            Ok(Some(held)) if held.record == grave => false,
            // Another write came first, so this one finds another version and can't take effect.
            Ok(Some(held)) if held.version != *expected => return Ok(End::Conflict(Some(held))),
            // Nothing is left, or the record is still in the expected version: whether this end took effect can't be
            // told.
            Ok(_) | Err(_) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    match store.remove(id).await {
        // The grave was read back, but its write was not acknowledged, so it may not be durable.
        Err(error) if !is_acknowledged => Err(error),
        // An acknowledged grave ends the session, and expires by itself.
        Ok(_) | Err(_) => Ok(End::Ended),
    }
}

/// [`SessionStore::rename`]: creates `to`, and then updates `from` to the tombstone.
///
/// If it is interrupted between the two, `to` may live until its expiry, but nobody holds its token.
///
/// # Errors
///
/// As [`SessionStore::rename`].
pub async fn rename<S: SessionStore + ?Sized>(
    store: &S,
    from: &SessionId,
    expected: &Version,
    tombstone: &Arc<Record>,
    to: &SessionId,
    record: &Arc<Record>,
    usage: Usage,
) -> Result<Rename, StoreError> {
    // Check first, so that nothing is created needlessly.
    let Some(held) = store.load(from).await? else { return Ok(Rename::Gone) };
    if held.version != *expected {
        return Ok(Rename::Conflict(Some(held)));
    }
    let created = match store.create(to, record, usage).await? {
        Create::Created(version) => version,
        Create::Exists => return Ok(Rename::Exists),
    };
    let outcome = match store.update(from, tombstone, expected, Usage::at(tombstone, usage.used_at)).await {
        Ok(Update::Updated(_)) => return Ok(Rename::Renamed(created)),
        Ok(Update::Conflict(stored)) => Ok(Rename::Conflict(stored)),
        Ok(Update::Gone) => Ok(Rename::Gone),
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => match store.load(from).await {
            Ok(Some(now)) if now.record == *tombstone => return Ok(Rename::Renamed(created)),
            // Another write came first, so this one finds another version and can't take effect.
            Ok(Some(now)) if now.version != *expected => Ok(Rename::Conflict(Some(now))),
            Ok(None) => Ok(Rename::Gone),
            // The old version is still there: the write did not happen, or has not happened yet. Keep `to` in case it
            // still does.
            Ok(Some(_)) | Err(_) => return Err(error),
        },
        // The tombstone may be there, so `to` stays.
        Err(error) if error.may_have_happened() => return Err(error),
        Err(error) => Err(error),
    };
    // Nobody has the token of `to`. If this fails, it expires unused.
    let _ = store.remove(to).await;
    outcome
}

/// [`SessionStore::refresh`]: a load.
///
/// # Errors
///
/// As [`SessionStore::load`].
pub async fn refresh<S: SessionStore + ?Sized>(
    store: &S,
    id: &SessionId,
    held: &Stored,
) -> Result<Refresh, StoreError> {
    Ok(match store.load(id).await? {
        None => Refresh::Gone,
        Some(stored) if stored.version == held.version => {
            Refresh::Same { usage: stored.usage(), owner_epoch: stored.owner_epoch, tracked: stored.tracked }
        }
        Some(stored) => Refresh::Changed(stored),
    })
}

/// [`SessionStore::owner_epoch`]: loads the epoch, which is a record under [`SessionId::for_epoch`].
///
/// # Errors
///
/// As [`SessionStore::load`].
pub async fn owner_epoch<S: SessionStore + ?Sized>(store: &S, owner: &str) -> Result<Option<Epoch>, StoreError> {
    Ok(store.load(&SessionId::for_epoch(owner)).await?.and_then(|stored| epoch_in(&stored, owner)))
}

/// [`SessionStore::ensure_epoch`]: keeps the epoch as a record.
///
/// # Errors
///
/// As [`SessionStore::ensure_epoch`].
pub async fn ensure_epoch<S: SessionStore + ?Sized>(store: &S, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
    let id = SessionId::for_epoch(owner);
    for _ in 0..EPOCH_TRIES {
        if let Some(stored) = store.load(&id).await? {
            let Some(epoch) = epoch_in(&stored, owner) else { return Err(foreign_epoch(&id)) };
            if usage.expires_at <= stored.expires_at {
                return Ok(epoch);
            }
            if let Update::Updated(_) = store.update(&id, &stored.record, &stored.version, usage).await? {
                return Ok(epoch);
            }
        } else {
            let (epoch, record) = new_epoch(owner, usage)?;
            if let Create::Created(_) = store.create(&id, &record, usage).await? {
                return Ok(epoch);
            }
        }
    }
    Err(StoreError::new(StoreErrorKind::Other).during("ensure_epoch").because("the epoch keeps changing"))
}

/// [`SessionStore::renew_epoch`]: replaces the epoch's record.
///
/// # Errors
///
/// As [`SessionStore::renew_epoch`].
pub async fn renew_epoch<S: SessionStore + ?Sized>(store: &S, owner: &str, usage: Usage) -> Result<(), StoreError> {
    let id = SessionId::for_epoch(owner);
    for _ in 0..EPOCH_TRIES {
        // A missing epoch revokes as well as a new one.
        let Some(stored) = store.load(&id).await? else { return Ok(()) };
        let (_, record) = new_epoch(owner, usage)?;
        let kept = Usage { expires_at: usage.expires_at.max(stored.expires_at), ..usage };
        match store.update(&id, &record, &stored.version, kept).await? {
            Update::Updated(_) | Update::Gone => return Ok(()),
            Update::Conflict(_) => {}
        }
    }
    Err(StoreError::new(StoreErrorKind::Other).during("renew_epoch").because("the epoch keeps changing"))
}

/// How many times a write of an epoch is tried while other callers change it.
const EPOCH_TRIES: usize = 64;

pub(super) fn epoch_in(stored: &Stored, owner: &str) -> Option<Epoch> {
    let held = stored.record.owner().filter(|held| **held.name() == *owner)?;
    (stored.record.kind() == RecordKind::Epoch).then(|| held.epoch())
}

fn new_epoch(owner: &str, usage: Usage) -> Result<(Epoch, Arc<Record>), StoreError> {
    let epoch = Epoch::generate().map_err(no_randomness)?;
    let owner = Owner::new(owner, epoch).map_err(|error| StoreError::new(StoreErrorKind::Other).because(error))?;
    Ok((epoch, Arc::new(Record::epoch(owner, usage.used_at))))
}

fn no_randomness(error: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(error)
}

fn foreign_epoch(id: &SessionId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).on(id).because("the record is not the epoch of this owner")
}
