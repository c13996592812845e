//! A whole session as one struct.

use std::{collections::BTreeSet, fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    changes::Change,
    closures::{Again, Ran},
    draft::Draft,
    fields::{self, Decoded, Encoded},
    key,
    request_session::RequestSession,
    session::Session,
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
/// A handler takes it as an argument, like [`Session`]: `async fn home(shop: Typed<Shop>)`. It is a view of that
/// session and stores nothing itself, so all views and clones in one request agree.
///
/// # Fields are entries
///
/// Each field is one entry, under the field's serialized name: `session.get::<u64>("visits")` reads the same value.
/// Entries that are not fields of the struct are neither read nor changed, so several structs and [`Key`](crate::Key)s
/// can share a session. If two structs have a field of the same name, they share the entry.
///
/// - If none of the fields is stored, the value is `T::default()`. The first change then writes all fields.
/// - Otherwise serde handles a missing field: it uses its `#[serde(default)]`, or `None`, or fails with an error that
///   names the field.
/// - A change writes only the fields that it changes. To find them, the value is encoded before and after the closure,
///   and the bytes are compared. A field that is merely stored in another form (a map in another order, a default that
///   is not stored, an alias) does not count as changed. A field whose contents the closure reorders does.
/// - When a change is written, a skipped field (`skip_serializing_if`) and an entry under an alias are removed. A
///   skipped value should be the field's default, and `T::default()` should have the same.
///
/// `T` must be serialized as a struct with named fields. A struct with `#[serde(flatten)]`, an enum, a map or a tuple
/// is refused when it is first used, with an error that names the type. Use a [`Key`](crate::Key) for those.
pub struct Typed<T> {
    session: Session,
    of: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    /// Creates a view of the session as this type.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session, of: PhantomData }
    }

    /// Returns the session itself, for its id, login, logout and other entries.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl<T: DeserializeOwned + Default> Typed<T> {
    /// Returns the current value, decoded anew at each call. This counts as reading the fields: see [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::ErrorKind::Decode) if a stored field is no longer of its type, if a field is missing and has
    /// no default, or if `T` is not a struct with named fields. The entries are left unchanged.
    pub fn get(&self) -> Result<T> {
        let request = self.session.request();
        loop {
            let (draft, revision) = {
                let state = request.state();
                (state.draft.clone(), state.log.revision)
            };
            let decoded = fields::decode::<T>(&request.settings().codec, &draft)?;
            let mut state = request.state();
            // If a concurrent save has brought another record, the value was not read from it, so read again.
            if state.log.revision == revision {
                decoded.keys.iter().for_each(|key| state.see(key, request.settings()));
                return Ok(decoded.value);
            }
        }
    }
}

impl<T: Serialize + DeserializeOwned + Default + 'static> Typed<T> {
    /// Changes the value with a closure and returns the closure's result.
    ///
    /// If another request has changed the session in between, **the closure runs again** on the newer value when this
    /// request is committed. Two requests that change different fields both succeed, and neither change is lost. If
    /// they change the same field, the later closure sees what the earlier one left. The result returned here is from
    /// the first run. To get the result of the last run, use [`update_now`](Self::update_now).
    ///
    /// So write `|shop| shop.visits += 1`. A closure that assigns a whole value overwrites all of its fields.
    ///
    /// Since the closure can run again, later and elsewhere, it must own what it captures and must not move it out:
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
    /// The closure should not hold a clone of its own session, which would keep the session alive until it is
    /// committed.
    ///
    /// # Errors
    ///
    /// Same as for [`get`](Self::get); [`Encode`](crate::ErrorKind::Encode), also for a field that can't be read back
    /// (see [`Session::insert`]); [`InvalidKey`](crate::ErrorKind::InvalidKey) for a field whose name can't be a key;
    /// [`TooLarge`](crate::ErrorKind::TooLarge) if the record would exceed the layer's limit;
    /// [`Superseded`](crate::ErrorKind::Superseded); and [`ResponseStarted`](crate::ErrorKind::ResponseStarted) if the
    /// visitor has no session and the response has begun, so that no cookie can be set. After an error, nothing is
    /// changed.
    pub fn update<R>(&self, f: impl Fn(&mut T) -> R + Send + Sync + 'static) -> Result<R> {
        let request = self.session.request();
        Ok(request.run(None, Again::Merged, on_fields(request, move |value| Ran::kept(f(value))))?.0)
    }

    /// Changes the value with a closure that can refuse. If it returns `Err`, nothing is changed, whatever the closure
    /// did to its argument. The same applies when it runs again. The outer error is the session's, the inner one the
    /// closure's.
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update).
    pub fn try_update<R, E>(&self, f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static) -> Result<Result<R, E>> {
        let request = self.session.request();
        Ok(request.run(None, Again::Merged, on_fields(request, move |value| Ran::if_ok(f(value))))?.0)
    }

    /// Changes the value with a closure, commits everything that this request has changed, and returns the closure's
    /// result **of its last run**. If the commit fails, this change is withdrawn; see [`Session::update_now`].
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update) and [`Session::save`].
    pub async fn update_now<R: Send + 'static>(&self, f: impl Fn(&mut T) -> R + Send + Sync + 'static) -> Result<R> {
        let request = Arc::clone(self.session.request());
        let run = on_fields(&request, move |value| Ran::kept(f(value)));
        request.run_now(None, Again::Merged, run).await
    }

    /// Like [`update_now`](Self::update_now), but with a closure that can refuse. If its first run refuses, nothing is
    /// committed.
    ///
    /// # Errors
    ///
    /// Same as for [`update_now`](Self::update_now).
    pub async fn try_update_now<R: Send + 'static, E: Send + 'static>(
        &self,
        f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>> {
        let request = Arc::clone(self.session.request());
        let run = on_fields(&request, move |value| Ran::if_ok(f(value)));
        request.run_now(None, Again::Merged, run).await
    }

    /// Sets the fields that differ from what this request sees, and no others.
    ///
    /// Use it with [`get`](Self::get): if another request has changed one of these fields since they were read, the
    /// commit fails with [`Conflict`](crate::ErrorKind::Conflict), as for [`Session::insert`]. Fields that this call
    /// leaves alone don't conflict. Prefer [`update`](Self::update), which never conflicts.
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update).
    pub fn set(&self, value: &T) -> Result<()> {
        let request = self.session.request();
        let codec = &request.settings().codec;
        loop {
            let (draft, revision) = {
                let state = request.state();
                state.require_writable()?;
                (state.draft.clone(), state.log.revision)
            };
            let Decoded { value: present, keys, is_stored } = fields::decode::<T>(codec, &draft)?;
            let (before, encoded) = (fields::encode(codec, &present)?, fields::encode(codec, value)?);
            let mut after = draft.clone();
            put_difference::<T>(codec, &mut after, (keys, is_stored), &before, &encoded)?;
            let (length, max_record_bytes) = (after.encoded_len(), request.settings().max_record_bytes);
            if length > max_record_bytes && length > draft.encoded_len() {
                return Err(Error::too_large(None, length, max_record_bytes));
            }
            let mut state = request.state();
            if state.log.revision != revision {
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
    request: &RequestSession,
    f: impl Fn(&mut T) -> Ran<R> + Send + Sync + 'static,
) -> impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static
where
    T: Serialize + DeserializeOwned + Default + 'static,
{
    let codec = request.settings().codec.clone();
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

/// Writes the difference between two states of a value into the draft. If this fails, the draft is unchanged.
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
    // An entry that was read under an alias is removed, so it must be written under the field's name.
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

/// Whether this value is the one that was loaded, so that the request's earlier changes are taken back.
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
        f.debug_tuple(&format!("Typed<{}>", std::any::type_name::<T>())).field(&self.session).finish()
    }
}
