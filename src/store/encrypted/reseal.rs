//! Sealing of records that are stored already.

use super::{EncryptedStore, seal, store::TARGET};
use crate::{
    id::SessionId,
    record::RecordKind,
    store::{Cursor, SessionStore, StoreError, StoreErrorKind, Update, require},
};

/// How many ids are listed at once.
const PAGE: usize = 256;

/// How many times a record is tried while other callers change it.
const TRIES: usize = 64;

/// The result of [`reseal_all`](EncryptedStore::reseal_all) or [`seal_existing`](EncryptedStore::seal_existing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resealed {
    /// Records that were sealed with the writing key.
    pub sealed: u64,
    /// Records that were already sealed with the writing key.
    pub current: u64,
    /// Records that could not be opened. They are reported one by one and stay as they are.
    pub refused: u64,
}

/// The result for one record.
enum One {
    Sealed,
    Current,
    Refused,
    Absent,
}

impl<S: SessionStore> EncryptedStore<S> {
    /// Reseals every session that was sealed with another key of the ring, so that the other keys can be retired.
    ///
    /// Sessions stay usable meanwhile, and a request that is under way commits as after any other change. Last use and
    /// expiry stay as they are. (A touch that falls between this method's read and write of the same session is lost;
    /// the session's next request repeats it.)
    ///
    /// Run it once every server writes with the new key. Afterwards, no session is sealed with another key, except
    /// those that were [`refused`](Resealed::refused).
    ///
    /// # Errors
    ///
    /// If the inner store can't list ids (`Unsupported`: in that case, wait for the longest absolute lifetime instead),
    /// or fails. Sessions that were resealed before the error stay resealed; call it again.
    pub async fn reseal_all(&self) -> Result<Resealed, StoreError> {
        self.walk(false).await
    }

    /// Seals every plain session of a store that was in use before it was wrapped.
    ///
    /// It trusts that the application wrote every plain record. So run it once, while nothing else writes to the store;
    /// afterwards, a plain record is refused. Sessions that are sealed already stay as they are, except that those
    /// sealed with a key that does not write are resealed.
    ///
    /// # Errors
    ///
    /// As [`reseal_all`](Self::reseal_all). If the store can't list ids, start with an empty one instead: on memcached,
    /// with another prefix.
    pub async fn seal_existing(&self) -> Result<Resealed, StoreError> {
        self.walk(true).await
    }

    async fn walk(&self, plain_too: bool) -> Result<Resealed, StoreError> {
        let mut total = Resealed::default();
        let mut next = Some(Cursor::START);
        while let Some(from) = next {
            let page = require::listing(self.inner(), "ids")?.ids(from, PAGE).await?;
            for id in &page.ids {
                match self.seal_one(id, plain_too).await? {
                    One::Sealed => total.sealed += 1,
                    One::Current => total.current += 1,
                    One::Refused => total.refused += 1,
                    One::Absent => {}
                }
            }
            next = page.next;
        }
        let Resealed { sealed, current, refused } = total;
        tracing::info!(target: TARGET, sealed, current, refused, "records resealed");
        Ok(total)
    }

    async fn seal_one(&self, id: &SessionId, plain_too: bool) -> Result<One, StoreError> {
        for _ in 0..TRIES {
            let Some(stored) = self.inner().load(id).await? else { return Ok(One::Absent) };
            let usage = stored.usage();
            let version = stored.version;
            let record = if plain_too && stored.record.kind() == RecordKind::Session {
                // Until now, the inner store had the owner under its plain name.
                self.rehash_owner(stored.record, str::to_owned).await?
            } else {
                match seal::open(self.ring(), id, &stored.record) {
                    Ok(opened) if opened.foreign.is_none() => return Ok(One::Current),
                    Ok(_) => self.open(id, stored, "reseal").await?.record,
                    Err(error) => {
                        self.refused(id, error, "reseal");
                        return Ok(One::Refused);
                    }
                }
            };
            match self.inner().update(id, &self.seal(id, &record, "reseal")?, &version, usage).await? {
                Update::Updated(_) => {
                    tracing::debug!(target: TARGET, %id, "record resealed");
                    return Ok(One::Sealed);
                }
                Update::Gone => return Ok(One::Absent),
                Update::Conflict(_) => {}
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).during("reseal").on(id).because("the record keeps changing"))
    }
}
