//! Reading and changing the entries of a session.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    changes::{Change, Draft},
    key::{IntoKey, check},
};
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// The value of an entry, or `None`. Only this entry is decoded.
    ///
    /// The type comes from the key, or from the call: `session.get::<u64>("visits")`.
    ///
    /// **What was read is remembered:** if this request then sets the entry, and another has changed it since, the commit
    /// fails with [`Conflict`](ErrorKind::Conflict) and the answer is 409, rather than undoing the other's update. To
    /// change a value without conflicts use [`update`](Self::update); to make one that is missing,
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the stored value is not of this type any more. The entry stays as it is.
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        let held = {
            let mut state = self.shared.state();
            state.see(key, &self.shared.settings);
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

    /// Sets an entry. Setting what is there already, byte for byte, is no change.
    ///
    /// Of two requests that set one entry without having read it, the later one wins. One that has read it before
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
    /// # What was written can be read
    ///
    /// What the codec can't read back is refused here, and the old value stays: see [`Codec`](crate::Codec). Whether the
    /// *type* reads what it writes is another question, and some don't:
    ///
    /// | the type | use instead |
    /// |---|---|
    /// | a field with `skip_serializing_if` and no `default` | both attributes |
    /// | a `u128` or `i128` behind `#[serde(flatten)]`, or in an internally tagged or untagged enum | a string (`serialize_with`), or a field outside |
    /// | an untagged or internally tagged enum, or a flattened field, with an `IpAddr`, a `Uuid` or another type that is text in JSON and bytes in MessagePack | JSON, or an externally tagged enum |
    /// | its own `Deserialize`, `try_from` or `deserialize_with` takes less than `Serialize` writes | the same form in both |
    ///
    /// In a build with debug assertions, a value is therefore decoded after it was encoded wherever its type can be:
    /// here with a [`Key`](crate::Key), and in [`update`](Self::update), [`modify`](Self::modify) and
    /// [`Typed`](crate::Typed) always. If that fails, so does the call, with an error that names key and type; the tests
    /// of an application find such a type. With a string as the key of `insert`, nothing is known of the type that will
    /// read it, and **a release build does not look**: there such a value is stored, and [`get`](Self::get) fails.
    ///
    /// What comes back as another value is not found, since types don't always come back alike (a `HashMap` has another
    /// order each time): see [`Codec`](crate::Codec).
    ///
    /// # Errors
    ///
    /// [`Encode`](ErrorKind::Encode) if the value has no form in the layer's codec or could not be read back,
    /// [`InvalidKey`](ErrorKind::InvalidKey), [`TooLarge`](ErrorKind::TooLarge) if the record would pass the layer's
    /// limit, [`Superseded`](ErrorKind::Superseded), and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the visitor has no session and no cookie can be sent any more.
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl IntoKey<T>, value: &T) -> Result<()> {
        let verifier = key.verifier();
        let key = key.name();
        check(key)?;
        let codec = &self.shared.settings.codec;
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

    /// Removes an entry. `true` if it was there. If this request has read the entry and another has changed it since, that
    /// is a conflict, as for [`insert`](Self::insert); if the other has removed it, it is none.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
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

    /// Removes an entry and returns what it was. If another request has changed it since it was loaded, the commit fails
    /// with [`Conflict`](ErrorKind::Conflict).
    ///
    /// Two requests at once can both be given the value. Where only one may have it (a one-time token), use
    /// [`take_now`](Self::take_now).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and then the entry stays; [`Superseded`](ErrorKind::Superseded).
    pub fn take<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        loop {
            let (held, revision) = {
                let mut state = self.shared.state();
                state.not_superseded()?;
                state.see(key, &self.shared.settings);
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

    /// Whether there is an entry of this key. It counts as reading it, as [`get`](Self::get) does.
    #[must_use]
    pub fn contains(&self, key: impl AsRef<str>) -> bool {
        let mut state = self.shared.state();
        state.see(key.as_ref(), &self.shared.settings);
        state.draft.get(key.as_ref()).is_some()
    }

    /// The keys of all entries, in order.
    #[must_use]
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

    /// Removes all entries: those that are there **when it is committed**.
    ///
    /// **It is no logout:** the session lives on under the same token, with its owner. To sign somebody out use
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
        let decode = |bytes| self.shared.settings.codec.decode(bytes);
        bytes.map(decode).transpose().map_err(|error| entry::<T>(ErrorKind::Decode, key).because(error))
    }

    pub(super) fn check_size(&self, draft: &Draft, key: &str, value: usize) -> Result<()> {
        let (after, limit) = (draft.encoded_len_with(key, value), self.shared.settings.max_record);
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
