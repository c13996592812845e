//! Reading and changing the entries of a session.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    changes::Change,
    draft::Draft,
    key::{InsertKey, IntoKey, check},
    session::Session,
};
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// Returns the value of an entry, or `None` if there is none. Only this entry is decoded.
    ///
    /// The type comes from the key or from the call: `session.get::<u64>("visits")`.
    ///
    /// **This counts as reading the entry.** If this request then sets the entry, and another request has changed it
    /// since, the commit fails with [`Conflict`](ErrorKind::Conflict) and the response is 409, so that the other
    /// request's update is not lost. This is the default [`ConflictPolicy`](crate::ConflictPolicy). To change a value
    /// without conflicts, use [`update`](Self::update). To create a missing value, use
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the stored value is no longer of this type. The entry is left unchanged.
    #[doc(alias("get_value"))]
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        let entry = {
            let mut state = self.request.state();
            state.see(key, self.request.settings());
            state.draft.entry(key)
        };
        self.decode(key, entry.bytes(key))
    }

    /// Returns the value of an entry, or the type's default if there is none.
    ///
    /// # Errors
    ///
    /// Same as for [`get`](Self::get).
    pub fn get_or_default<T: DeserializeOwned + Default>(&self, key: impl IntoKey<T>) -> Result<T> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Sets an entry. If the entry already has the same bytes, nothing changes.
    ///
    /// If two requests set an entry without having read it, the later one wins. A request that has read the entry
    /// ([`get`](Self::get), [`contains`](Self::contains)) does not overwrite a value that another request has set
    /// since: see [`ConflictPolicy`](crate::ConflictPolicy).
    ///
    /// ```
    /// # use session_layer::{Key, MemoryStore, Session};
    /// const NAME: Key<String> = Key::new("name");
    ///
    /// let session = Session::new(MemoryStore::new());
    /// session.insert(NAME, "bob")?; // what a `String` borrows, a `String` or a `&String`
    /// session.insert("age", 42)?; // with a string as the key, any value
    /// assert_eq!(session.get(NAME)?.as_deref(), Some("bob"));
    /// assert_eq!(session.get::<u8>("age")?, Some(42));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// With a [`Key`](crate::Key), the value is of the key's type or a borrowed form of it: see [`InsertKey`]. A
    /// borrowed form (`Borrow`) must serialize like the type itself, as `str` does for `String`.
    ///
    /// # Values must be readable
    ///
    /// If the codec couldn't read a value back, the call fails and the old value stays: see [`Codec`](crate::Codec). In
    /// addition, some types can't read what they write themselves:
    ///
    /// - A field with `skip_serializing_if` and no `default`. Use both attributes.
    /// - A `u128` or `i128` behind `#[serde(flatten)]`, or in an internally tagged or untagged enum. Use a string
    ///   (`serialize_with`), or a field outside.
    /// - An `IpAddr`, a `Uuid` or another type that is text in JSON and bytes in MessagePack, in an untagged or
    ///   internally tagged enum or in a flattened field. Use JSON, or an externally tagged enum.
    /// - A type whose own `Deserialize`, `try_from` or `deserialize_with` accepts less than `Serialize` writes. Use the
    ///   same form in both.
    ///
    /// To find such types, a build with debug assertions decodes each value right after encoding it, where the type is
    /// known: here if the key is a [`Key`](crate::Key), and always in [`update`](Self::update),
    /// [`modify`](Self::modify) and [`Typed`](crate::Typed). If decoding fails, the call fails with an error that names
    /// the key and the type, so an application's tests can find it. If the key of `insert` is a string, the type that
    /// will read the entry is not known, so nothing is checked. **A release build does not check:** it stores such a
    /// value, and [`get`](Self::get) fails.
    ///
    /// A value that is read back as a different value is not detected, since equal values don't always have equal bytes
    /// (a `HashMap` is written in a different order each time): see [`Codec`](crate::Codec).
    ///
    /// # Errors
    ///
    /// [`Encode`](ErrorKind::Encode) if the layer's codec can't express the value or could not read it back,
    /// [`InvalidKey`](ErrorKind::InvalidKey), [`TooLarge`](ErrorKind::TooLarge) if the record would exceed the layer's
    /// [limit](crate::SessionLayerBuilder::max_record_bytes) (by default 128 KiB),
    /// [`Superseded`](ErrorKind::Superseded), and [`ResponseStarted`](ErrorKind::ResponseStarted) if the visitor has no
    /// session and the response has begun, so that no cookie can be set.
    #[doc(alias("set", "insert_value", "replace"))]
    pub fn insert<V: Serialize, By>(&self, key: impl InsertKey<V, By>, value: V) -> Result<()> {
        let verifier = key.verifier();
        let type_name = key.type_name().unwrap_or_else(|| std::any::type_name::<V>().trim_start_matches('&'));
        let key = key.name();
        check(key)?;
        let codec = &self.request.settings().codec;
        let failed = |error| Error::entry(ErrorKind::Encode, key, Some(type_name)).because(error);
        let bytes = codec.encode_shared(&value).map_err(failed)?;
        verifier.map_or(Ok(()), |verify| verify(codec, &bytes)).map_err(failed)?;
        let mut state = self.request.state();
        state.require_writable()?;
        // If a closure is in the log, running it again may leave another value, so the change is needed.
        if state.draft.get(key) == Some(&*bytes) && !state.log.has_run() {
            return Ok(());
        }
        self.check_size(&state.draft, key, bytes.len())?;
        state.change(Change::Set(key.into(), bytes, None));
        Ok(())
    }

    /// Removes an entry. Returns `true` if it existed. To get the value, use [`take`](Self::take).
    ///
    /// If this request has read the entry and another request has changed it since, the commit fails with a conflict,
    /// as for [`insert`](Self::insert). If the other request has removed it, there is no conflict.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("delete", "remove_value"))]
    pub fn remove(&self, key: impl AsRef<str>) -> Result<bool> {
        let key = key.as_ref();
        let mut state = self.request.state();
        state.require_current()?;
        let was_there = state.draft.get(key).is_some();
        if was_there || state.may_come_back(key) {
            state.change(Change::Remove(key.into(), None));
        }
        Ok(was_there)
    }

    /// Removes an entry and returns its value.
    ///
    /// If another request has changed the entry since it was loaded, the commit fails with
    /// [`Conflict`](ErrorKind::Conflict). Two concurrent requests can both receive the value. If only one of them may
    /// have it (a one-time token), use [`take_now`](Self::take_now).
    ///
    /// # Errors
    ///
    /// Same as for [`get`](Self::get), in which case the entry stays, and [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("get_remove", "remove_as", "flash"))]
    pub fn take<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        loop {
            let (entry, revision) = {
                let mut state = self.request.state();
                state.require_current()?;
                state.see(key, self.request.settings());
                (state.draft.entry(key), state.log.revision)
            };
            let value = self.decode(key, entry.bytes(key))?;
            let mut state = self.request.state();
            if state.log.revision == revision {
                if value.is_some() || state.may_come_back(key) {
                    state.change(Change::Remove(key.into(), None));
                }
                return Ok(value);
            }
        }
    }

    /// Returns `true` if there is an entry with this key. This counts as reading the entry, as for [`get`](Self::get).
    #[must_use]
    #[doc(alias("contains_key", "has"))]
    pub fn contains(&self, key: impl AsRef<str>) -> bool {
        let mut state = self.request.state();
        state.see(key.as_ref(), self.request.settings());
        state.draft.get(key.as_ref()).is_some()
    }

    /// Returns the keys of all entries, in order.
    #[must_use]
    #[doc(alias("entries"))]
    pub fn keys(&self) -> Vec<String> {
        self.request.state().draft.iter().map(|(key, _)| key.to_owned()).collect()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.request.state().draft.len()
    }

    /// Returns `true` if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries that exist **when the change is committed**.
    ///
    /// **This is not a logout:** the session lives on under the same token, with its owner. To log somebody out, use
    /// [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    pub fn clear(&self) -> Result<()> {
        let mut state = self.request.state();
        state.require_current()?;
        state.change(Change::Clear);
        Ok(())
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, key: &str, bytes: Option<&[u8]>) -> Result<Option<T>> {
        let decode = |bytes| self.request.settings().codec.decode(bytes);
        bytes.map(decode).transpose().map_err(|error| entry::<T>(ErrorKind::Decode, key).because(error))
    }

    pub(super) fn check_size(&self, draft: &Draft, key: &str, value: usize) -> Result<()> {
        let (after, max_record_bytes) = (draft.encoded_len_with(key, value), self.request.settings().max_record_bytes);
        // A change that shrinks a record that is already too large is allowed.
        if after > max_record_bytes && after > draft.encoded_len() {
            return Err(Error::too_large(Some(key), after, max_record_bytes));
        }
        Ok(())
    }
}

/// Creates an error about an entry of this type.
pub(super) fn entry<T: ?Sized>(kind: ErrorKind, key: &str) -> Error {
    Error::entry(kind, key, Some(std::any::type_name::<T>()))
}
