//! Reading and changing the entries of a session.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    changes::Change,
    draft::Draft,
    key::{IntoKey, check},
    shared::Session,
};
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// The value of an entry, or `None`. Only this entry is decoded.
    ///
    /// The type comes from the key, or from the call: `session.get::<u64>("visits")`.
    ///
    /// **The entry counts as read:** if this request then sets it, and another request has changed it since, the commit
    /// fails with [`Conflict`](ErrorKind::Conflict) and the answer is 409, so the other's update is not undone. To
    /// change a value without conflicts, use [`update`](Self::update). To create a missing value, use
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the stored value is not of this type any more. The entry stays as it is.
    #[doc(alias("get_value"))]
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        let held = {
            let mut state = self.shared.state();
            state.see(key, self.shared.settings());
            state.draft.held(key)
        };
        self.decode(key, held.bytes(key))
    }

    /// The value of an entry, or its type's default.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_or_default<T: DeserializeOwned + Default>(&self, key: impl IntoKey<T>) -> Result<T> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Sets an entry. If the stored bytes are the same, nothing changes.
    ///
    /// If two requests set an entry without having read it, the later one wins. A request that has read the entry
    /// ([`get`](Self::get), [`contains`](Self::contains)) does not overwrite what another has set since: see
    /// [`ConflictPolicy`](crate::ConflictPolicy).
    ///
    /// ```
    /// # use session_layer::{Key, MemoryStore, Session};
    /// const NAME: Key<String> = Key::new("name");
    ///
    /// let session = Session::new(MemoryStore::new());
    /// session.insert(NAME, &"bob".to_owned())?;
    /// session.insert("age", &42)?;
    /// assert_eq!(session.get::<u8>("age")?, Some(42));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// The value's type is the key's:
    ///
    /// ```compile_fail
    /// # use session_layer::{Key, MemoryStore, Session};
    /// # const NAME: Key<String> = Key::new("name");
    /// # let session = Session::new(MemoryStore::new());
    /// session.insert(NAME, "bob")?; // a `&str` is no `&String`
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// # Values must be readable
    ///
    /// A value that the codec can't read back is refused here, and the old value stays: see [`Codec`](crate::Codec).
    /// Some types also can't read what they write themselves:
    ///
    /// | the type | use instead |
    /// |---|---|
    /// | a field with `skip_serializing_if` and no `default` | both attributes |
    /// | a `u128` or `i128` behind `#[serde(flatten)]`, or in an internally tagged or untagged enum | a string (`serialize_with`), or a field outside |
    /// | an untagged or internally tagged enum, or a flattened field, with an `IpAddr`, a `Uuid` or another type that is text in JSON and bytes in MessagePack | JSON, or an externally tagged enum |
    /// | its own `Deserialize`, `try_from` or `deserialize_with` takes less than `Serialize` writes | the same form in both |
    ///
    /// To find such types, a build with debug assertions decodes each value after it was encoded, where the type is
    /// known: here if the key is a [`Key`](crate::Key), and always in [`update`](Self::update),
    /// [`modify`](Self::modify) and [`Typed`](crate::Typed). If decoding fails, the call fails with an error that names
    /// the key and the type, so an application's tests can find the type. If the key of `insert` is a string, the type
    /// that will read the entry is not known. **A release build does not check:** it stores such a value, and
    /// [`get`](Self::get) fails.
    ///
    /// A value that is read back as a different value is not detected, since equal values don't always look alike (a
    /// `HashMap` has another order each time): see [`Codec`](crate::Codec).
    ///
    /// # Errors
    ///
    /// [`Encode`](ErrorKind::Encode) if the layer's codec can't express the value or could not read it back,
    /// [`InvalidKey`](ErrorKind::InvalidKey), [`TooLarge`](ErrorKind::TooLarge) if the record would exceed the layer's
    /// limit, [`Superseded`](ErrorKind::Superseded), and [`ResponseStarted`](ErrorKind::ResponseStarted) if the visitor
    /// has no session and the response has begun, so that no cookie can be set.
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl IntoKey<T>, value: &T) -> Result<()> {
        let verifier = key.verifier();
        let key = key.name();
        check(key)?;
        let codec = &self.shared.settings().codec;
        let failed = |error| entry::<T>(ErrorKind::Encode, key).because(error);
        let bytes = codec.encode(value).map_err(failed)?;
        verifier.map_or(Ok(()), |verify| verify(codec, &bytes)).map_err(failed)?;
        let bytes: Arc<[u8]> = bytes.into();
        let mut state = self.shared.state();
        state.writable()?;
        // Where a closure ran, the value may be another one when it runs again.
        if state.draft.get(key) == Some(&*bytes) && !state.has_run() {
            return Ok(());
        }
        self.check_size(&state.draft, key, bytes.len())?;
        state.change(Change::Set(key.into(), bytes, None));
        Ok(())
    }

    /// Removes an entry. Returns `true` if it was there. If this request has read the entry and another has changed it
    /// since, the commit fails with a conflict, as for [`insert`](Self::insert). If the other has removed it, there is
    /// no conflict.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("delete", "remove_value"))]
    pub fn remove(&self, key: impl AsRef<str>) -> Result<bool> {
        let key = key.as_ref();
        let mut state = self.shared.state();
        state.not_superseded()?;
        let was_there = state.draft.get(key).is_some();
        if was_there || state.may_come_back(key) {
            state.change(Change::Remove(key.into(), None));
        }
        Ok(was_there)
    }

    /// Removes an entry and returns its value. If another request has changed the entry since it was loaded, the commit
    /// fails with [`Conflict`](ErrorKind::Conflict).
    ///
    /// Two concurrent requests can both receive the value. If only one may have it (a one-time token), use
    /// [`take_now`](Self::take_now).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and then the entry stays; [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("get_remove", "remove_as", "flash"))]
    pub fn take<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        loop {
            let (held, revision) = {
                let mut state = self.shared.state();
                state.not_superseded()?;
                state.see(key, self.shared.settings());
                (state.draft.held(key), state.revision)
            };
            let value = self.decode(key, held.bytes(key))?;
            let mut state = self.shared.state();
            if state.revision == revision {
                if value.is_some() || state.may_come_back(key) {
                    state.change(Change::Remove(key.into(), None));
                }
                return Ok(value);
            }
        }
    }

    /// Returns whether there is an entry with this key. It counts as reading the entry, as [`get`](Self::get) does.
    #[must_use]
    #[doc(alias("contains_key", "has"))]
    pub fn contains(&self, key: impl AsRef<str>) -> bool {
        let mut state = self.shared.state();
        state.see(key.as_ref(), self.shared.settings());
        state.draft.get(key.as_ref()).is_some()
    }

    /// The keys of all entries, in order.
    #[must_use]
    #[doc(alias("entries"))]
    pub fn keys(&self) -> Vec<String> {
        self.shared.state().draft.iter().map(|(key, _)| key.to_owned()).collect()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.state().draft.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries that are there **when the change is committed**.
    ///
    /// **This is not a logout:** the session lives on under the same token, with its owner. To sign somebody out, use
    /// [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    pub fn clear(&self) -> Result<()> {
        let mut state = self.shared.state();
        state.not_superseded()?;
        state.change(Change::Clear);
        Ok(())
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, key: &str, bytes: Option<&[u8]>) -> Result<Option<T>> {
        let decode = |bytes| self.shared.settings().codec.decode(bytes);
        bytes.map(decode).transpose().map_err(|error| entry::<T>(ErrorKind::Decode, key).because(error))
    }

    pub(super) fn check_size(&self, draft: &Draft, key: &str, value: usize) -> Result<()> {
        let (after, limit) = (draft.encoded_len_with(key, value), self.shared.settings().max_record);
        // What shrinks a record that is too large already is welcome.
        if after > limit && after > draft.encoded_len() {
            return Err(Error::too_large(Some(key), after, limit));
        }
        Ok(())
    }
}

/// A failure with an entry of this type.
pub(super) fn entry<T: ?Sized>(kind: ErrorKind, key: &str) -> Error {
    Error::entry(kind, key, Some(std::any::type_name::<T>()))
}
