//! A whole session as one struct.

use std::{collections::BTreeSet, fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    changes::Change,
    draft::Draft,
    fields::{self, Decoded, Encoded},
    key,
    run::{Again, Ran},
    shared::{Session, Shared},
};
use crate::{
    codec::Codec,
    error::{Error, Result},
};

/// The visitor's session as a struct of the application.
///
/// ```
/// # use session_layer::{MemoryStore, Session, Typed};
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// struct Shop {
///     visits: u64,
///     cart: Vec<String>,
/// }
///
/// # let shop: Typed<Shop> = Typed::new(Session::new(MemoryStore::new()));
/// let visits = shop.update(|shop| { shop.visits += 1; shop.visits })?;
/// assert_eq!(visits, 1);
/// assert!(shop.get()?.cart.is_empty());
/// # Ok::<(), session_layer::Error>(())
/// ```
///
/// A handler asks for it as an argument, as for [`Session`]: `async fn home(shop: Typed<Shop>)`. It is a view of that
/// session and keeps nothing of its own, so all views and clones of one request agree.
///
/// # Fields are entries
///
/// Each field is one entry, under the field's serialised name: `session.get::<u64>("visits")` reads the same. Entries
/// that are no field of the struct are neither read nor touched, so several structs and [`Key`](crate::Key)s share a
/// session; where two structs have a field of one name, they share the entry.
///
/// - For a visitor without any stored field, the value is `T::default()`. The first change then writes all fields.
/// - Otherwise serde decides about a missing field: it uses its `#[serde(default)]`, `None`, or an error that names the
///   field.
/// - A change writes only the fields that differ before and after it: the value is encoded before and after the
///   closure, and the bytes are compared. A field that is merely stored in another form (a map in another order, a
///   default that is not stored, an alias) does not differ. A field that the closure puts into another order does.
/// - When a change is written, a skipped field (`skip_serializing_if`) and an entry under an alias are removed. A
///   skipped value should be the field's default, and `T::default()` should have the same.
///
/// `T` must be serialised as a struct with named fields: one with `#[serde(flatten)]`, an enum, a map or a tuple is
/// refused when it is first used, with an error that names it. Use a [`Key`](crate::Key) for those.
pub struct Typed<T> {
    session: Session,
    of: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    /// The session seen as this type.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session, of: PhantomData }
    }

    /// The session itself: its id, login and logout, other entries.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl<T: DeserializeOwned + Default> Typed<T> {
    /// Returns the present value, decoded anew at each call. It counts as reading the fields: see [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::ErrorKind::Decode) if a stored field is not of its type any more, is missing and has no default, or
    /// `T` is no struct with named fields. The entries stay as they are.
    pub fn get(&self) -> Result<T> {
        let shared = self.session.shared();
        loop {
            let (draft, revision) = {
                let state = shared.state();
                (state.draft.clone(), state.revision)
            };
            let decoded = fields::decode::<T>(&shared.settings().codec, &draft)?;
            let mut state = shared.state();
            // A save beside this one may have brought another record: what was read there was not shown.
            if state.revision == revision {
                decoded.keys.iter().for_each(|key| state.see(key, shared.settings()));
                return Ok(decoded.value);
            }
        }
    }
}

impl<T: Serialize + DeserializeOwned + Default + 'static> Typed<T> {
    /// Changes the value by a closure, and returns what the closure returned.
    ///
    /// If another request changed the session in between, **the closure runs again** on the newer value when this
    /// request is committed. Two requests that change different fields both succeed, and neither is lost; of two that
    /// change one field, the later closure sees what the earlier left. What it returned here is from its first run. For
    /// the final value see [`update_now`](Self::update_now).
    ///
    /// So write `|shop| shop.visits += 1`: a closure that assigns a whole value assigns every field of it.
    ///
    /// Since it can run again, later and elsewhere, the closure owns what it captures and gives nothing of it away:
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session, Typed};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Shop { cart: Vec<String> }
    /// # let shop: Typed<Shop> = Typed::new(Session::new(MemoryStore::new()));
    /// let sku = String::from("A1");
    /// shop.update(move |shop| shop.cart.push(sku.clone()))?;
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0373
    /// # use session_layer::{MemoryStore, Session, Typed};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Shop { cart: Vec<String> }
    /// # let shop: Typed<Shop> = Typed::new(Session::new(MemoryStore::new()));
    /// let sku = String::from("A1");
    /// shop.update(|shop| shop.cart.push(sku.clone()))?; // borrows `sku`: write `move`
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// It should not hold a clone of its own session: that keeps the session alive until it is committed.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Encode`](crate::ErrorKind::Encode), also for a field that can't be read back (see
    /// [`Session::insert`]), [`InvalidKey`](crate::ErrorKind::InvalidKey) for a field whose
    /// name can't be a key, [`TooLarge`](crate::ErrorKind::TooLarge) if the record would pass the layer's limit,
    /// [`Superseded`](crate::ErrorKind::Superseded), and
    /// [`ResponseStarted`](crate::ErrorKind::ResponseStarted) if the visitor has no
    /// session and no cookie can be sent any more. Nothing is changed then.
    pub fn update<R>(&self, f: impl Fn(&mut T) -> R + Send + Sync + 'static) -> Result<R> {
        let shared = self.session.shared();
        Ok(shared.run(None, Again::Merged, on_fields(shared, move |value| Ran::kept(f(value))))?.0)
    }

    /// Changes the value by a closure that can refuse. After an `Err` nothing is changed, whatever the closure did to
    /// its argument; the same holds when it runs again. The outer error is the session's, the inner one the closure's.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn try_update<R, E>(&self, f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static) -> Result<Result<R, E>> {
        let shared = self.session.shared();
        Ok(shared.run(None, Again::Merged, on_fields(shared, move |value| Ran::if_ok(f(value))))?.0)
    }

    /// Changes the value by a closure, commits everything that this request has changed, and returns the closure's
    /// result **of its last run**. If the commit fails, this change is withdrawn; see [`Session::update_now`].
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`Session::save`].
    pub async fn update_now<R: Send + 'static>(&self, f: impl Fn(&mut T) -> R + Send + Sync + 'static) -> Result<R> {
        let shared = Arc::clone(self.session.shared());
        let run = on_fields(&shared, move |value| Ran::kept(f(value)));
        shared.run_now(None, Again::Merged, run).await
    }

    /// As [`update_now`](Self::update_now), with a closure that can refuse. If its first run refuses, nothing is
    /// committed.
    ///
    /// # Errors
    ///
    /// As [`update_now`](Self::update_now).
    pub async fn try_update_now<R: Send + 'static, E: Send + 'static>(
        &self,
        f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>> {
        let shared = Arc::clone(self.session.shared());
        let run = on_fields(&shared, move |value| Ran::if_ok(f(value)));
        shared.run_now(None, Again::Merged, run).await
    }

    /// Sets the fields that differ from what this request sees, and no others.
    ///
    /// Use it with [`get`](Self::get): if another request has changed one of these fields since they were read, the
    /// commit fails with [`Conflict`](crate::ErrorKind::Conflict), as for [`Session::insert`]. Fields that this call leaves
    /// alone don't conflict. Prefer [`update`](Self::update), which never conflicts.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn set(&self, value: &T) -> Result<()> {
        let shared = self.session.shared();
        let codec = &shared.settings().codec;
        loop {
            let (draft, revision) = {
                let state = shared.state();
                state.writable()?;
                (state.draft.clone(), state.revision)
            };
            let Decoded { value: present, keys, is_stored } = fields::decode::<T>(codec, &draft)?;
            let (before, encoded) = (fields::encode(codec, &present)?, fields::encode(codec, value)?);
            let mut after = draft.clone();
            put_difference::<T>(codec, &mut after, (keys, is_stored), &before, &encoded)?;
            let (length, limit) = (after.encoded_len(), shared.settings().max_record);
            if length > limit && length > draft.encoded_len() {
                return Err(Error::too_large(None, length, limit));
            }
            let mut state = shared.state();
            if state.revision != revision {
                continue;
            }
            let all: BTreeSet<&str> = keys.iter().chain(before.keys()).chain(encoded.keys()).copied().collect();
            for key in all.into_iter().filter(|key| draft.get(key) != after.get(key)) {
                state.change(match after.get(key) {
                    Some(bytes) => Change::Set(key.into(), bytes.into(), None),
                    None => Change::Remove(key.into(), None),
                });
            }
            return Ok(());
        }
    }
}

/// Turns a closure on `T` into one on the draft.
fn on_fields<T, R>(
    shared: &Shared,
    f: impl Fn(&mut T) -> Ran<R> + Send + Sync + 'static,
) -> impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static
where
    T: Serialize + DeserializeOwned + Default + 'static,
{
    let codec = shared.settings().codec.clone();
    move |draft| {
        let Decoded { mut value, keys, is_stored } = fields::decode::<T>(&codec, draft)?;
        // The baseline is the encoding of this value, not the stored bytes: encoding an unchanged value twice gives
        // equal bytes.
        let before = fields::encode(&codec, &value)?;
        let ran = f(&mut value);
        if ran.keep {
            let after = fields::encode(&codec, &value)?;
            put_difference::<T>(&codec, draft, (keys, is_stored), &before, &after)?;
        }
        Ok(ran)
    }
}

/// Writes the difference between two states of a value into the draft. After an error the draft is unchanged.
fn put_difference<T>(
    codec: &Codec,
    draft: &mut Draft,
    (keys, is_stored): (&[&str], bool),
    before: &Encoded,
    after: &Encoded,
) -> Result<()>
where
    T: Serialize + DeserializeOwned + Default,
{
    if before == after {
        return Ok(());
    }
    after.keys().try_for_each(|key| key::check(key))?;
    if draft.is_dirty() && was_loaded_as::<T>(codec, draft, after) {
        keys.iter().chain(after.keys()).for_each(|key| draft.restore(&(*key).into()));
        return Ok(());
    }
    let mut changed = draft.clone();
    let is_gone = |key: &&str| !after.contains_key(key) && draft.get(key).is_some();
    let gone: Vec<&str> = keys.iter().chain(before.keys()).copied().filter(is_gone).collect();
    // What was read under an alias goes, so it must come back under its name.
    let is_whole = !is_stored || gone.iter().any(|key| !before.contains_key(key));
    for key in gone {
        changed.put(&key.into(), None);
    }
    for (key, bytes) in after {
        if before.get(key) != Some(bytes) || (is_whole && draft.get(key).is_none()) {
            changed.put(&(*key).into(), Some(&bytes.as_slice().into()));
        }
    }
    fields::verify::<T>(codec, &changed)?;
    *draft = changed;
    Ok(())
}

/// Whether earlier changes of this request are taken back: this is what the value was when it was loaded.
fn was_loaded_as<T>(codec: &Codec, draft: &Draft, after: &Encoded) -> bool
where
    T: Serialize + DeserializeOwned + Default,
{
    let loaded = fields::decode::<T>(codec, &draft.loaded()).and_then(|loaded| fields::encode(codec, &loaded.value));
    loaded.is_ok_and(|loaded| loaded == *after)
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self::new(self.session.clone())
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("of", &std::any::type_name::<T>()).field("session", &self.session).finish()
    }
}
