//! A whole session as one struct.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    changes::{Change, Draft},
    fields::{self, Decoded, Encoded},
    key,
};
use crate::{
    codec::Codec,
    error::{Error, ErrorKind, Result},
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
/// - A visitor of whom no field is stored has `T::default()`. The first change then writes all fields.
/// - Otherwise a field that is not there is what serde says: its `#[serde(default)]`, `None`, or an error that names it.
/// - A change writes the fields that differ before and after it, and no others: the value is encoded before and after the
///   closure, and the bytes are compared. What is only stored in another way (a map in another order, a default that is
///   not stored, an alias) does not differ; what the closure puts into another order does.
/// - A field that is skipped (`skip_serializing_if`), and an entry under an alias, is removed when a change is written.
///   What is skipped should be the field's default, and `T::default()` should have it too.
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
    /// The present value, decoded anew at each call.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if a stored field is not of its type any more, is missing and has no default, or
    /// `T` is no struct with named fields. The entries stay as they are.
    pub fn get(&self) -> Result<T> {
        let shared = self.session.shared();
        let draft = shared.state().draft.clone();
        Ok(fields::decode(&shared.settings.codec, &draft)?.value)
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
    /// As [`get`](Self::get); [`Encode`](ErrorKind::Encode), also for a field that can't be read back (see
    /// [`Session::insert`]), [`InvalidKey`](ErrorKind::InvalidKey) for a field whose
    /// name can't be a key, [`TooLarge`](ErrorKind::TooLarge) if the record would pass the layer's limit,
    /// [`Superseded`](ErrorKind::Superseded), and [`ResponseStarted`](ErrorKind::ResponseStarted) if the visitor has no
    /// session and no cookie can be sent any more. Nothing is changed then.
    pub fn update<R>(&self, f: impl Fn(&mut T) -> R + Send + 'static) -> Result<R> {
        let shared = self.session.shared();
        let codec = shared.settings.codec.clone();
        let run = move |draft: &mut Draft| run(&codec, draft, &f);
        loop {
            let (mut draft, revision) = {
                let state = shared.state();
                state.writable()?;
                (state.draft.clone(), state.revision)
            };
            let before = draft.encoded_len();
            let result = run(&mut draft)?;
            let (after, limit) = (draft.encoded_len(), shared.settings.max_record);
            // What shrinks a record that is too large already is welcome.
            if after > limit && after > before {
                return Err(Error::too_large(None, after, limit));
            }
            let mut state = shared.state();
            if state.revision != revision {
                continue;
            }
            state.draft = draft;
            state.record(Change::Run(Box::new(move |draft| run(draft).map(drop))));
            return Ok(result);
        }
    }

    /// Changes the value by a closure, commits everything that this request has changed, and returns what the closure
    /// returned **when it was finally applied**.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`Session::save`].
    pub async fn update_now<R: Send + 'static>(&self, f: impl Fn(&mut T) -> R + Send + 'static) -> Result<R> {
        let last = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&last);
        self.update(move |value| {
            let result = f(value);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        })?;
        self.session.save().await?;
        let result = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        // `update` ran the closure before it returned.
        result.ok_or_else(|| Error::request(ErrorKind::Other))
    }
}

/// Runs the closure on what the draft holds, and puts the difference into the draft. After an error the draft is as
/// before.
fn run<T, R>(codec: &Codec, draft: &mut Draft, f: &impl Fn(&mut T) -> R) -> Result<R>
where
    T: Serialize + DeserializeOwned + Default,
{
    let Decoded { mut value, keys, is_stored } = fields::decode::<T>(codec, draft)?;
    // The baseline is what this value is written as, not what is stored: one value, written twice, is equal.
    let before = fields::encode(codec, &value)?;
    let result = f(&mut value);
    let after = fields::encode(codec, &value)?;
    if before == after {
        return Ok(result);
    }
    after.keys().try_for_each(|key| key::check(key))?;
    if draft.is_dirty() && was_loaded_as::<T>(codec, draft, &after) {
        keys.iter().chain(after.keys()).for_each(|key| draft.restore(&(*key).into()));
        return Ok(result);
    }
    let mut changed = draft.clone();
    let is_gone = |key: &&str| !after.contains_key(key) && draft.get(key).is_some();
    let gone: Vec<&str> = keys.iter().chain(before.keys()).copied().filter(is_gone).collect();
    // What was read under an alias goes, so it must come back under its name.
    let is_whole = !is_stored || gone.iter().any(|key| !before.contains_key(key));
    for key in gone {
        changed.put(&key.into(), None);
    }
    for (key, bytes) in &after {
        let differs = before.get(key).is_none_or(|before| before != bytes);
        if differs || (is_whole && draft.get(key).is_none()) {
            changed.put(&(*key).into(), Some(&bytes.as_slice().into()));
        }
    }
    fields::verify::<T>(codec, &changed)?;
    *draft = changed;
    Ok(result)
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
