//! Reading and changing the entries of a session.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session,
    changes::{Change, Draft},
    key::{IntoKey, check},
};
use crate::{
    codec::CodecError,
    error::{Error, ErrorKind, Result},
};

impl Session {
    /// The value of an entry, or `None`. Only this entry is decoded.
    ///
    /// The type comes from the key, or from the call: `session.get::<u64>("visits")`.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the stored value is not of this type any more. The entry stays as it is.
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        let held = self.shared.state().draft.held(key);
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

    /// Sets an entry. Setting what is there already, byte by byte, is no change.
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
        let is_there = state.draft.get(key) == Some(&*bytes);
        // Where a closure ran, the value may be another one when it runs again.
        if is_there && !state.has_run() {
            return Ok(());
        }
        self.check_size(&state.draft, key, bytes.len())?;
        state.change(Change::Set(key.into(), bytes));
        Ok(())
    }

    /// Removes an entry. `true` if it was there.
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
            state.change(Change::Remove(key.into()));
        }
        Ok(was_there)
    }

    /// Removes an entry and returns what it was.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and then the entry stays; [`Superseded`](ErrorKind::Superseded).
    pub fn take<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        loop {
            let (held, revision) = {
                let state = self.shared.state();
                state.not_superseded()?;
                (state.draft.held(key), state.revision)
            };
            let value = self.decode(key, held.bytes(key))?;
            let mut state = self.shared.state();
            if state.revision == revision {
                if value.is_some() || state.may_come_back(key) {
                    state.change(Change::Remove(key.into()));
                }
                return Ok(value);
            }
        }
    }

    /// Changes an entry by a closure, which starts from the type's default where there is none, and returns what the
    /// closure returned.
    ///
    /// If another request changed the session in between, **the closure runs again** on the newer value when this
    /// request is committed, so that no update is lost; what it returned here is from its first run. For the final value
    /// see [`update_now`](Self::update_now).
    ///
    /// ```
    /// # use session_layer::{Key, MemoryStore, Session};
    /// const VISITS: Key<u64> = Key::new("visits");
    ///
    /// # let session = Session::new(MemoryStore::new());
    /// let visits = session.update(VISITS, |n| { *n += 1; *n })?;
    /// let sku = String::from("A1");
    /// session.update("cart", move |cart: &mut Vec<String>| cart.push(sku.clone()))?;
    /// # assert_eq!(visits, 1);
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// Since it can run again, later and elsewhere, the closure owns what it captures and gives nothing of it away:
    ///
    /// ```compile_fail,E0373
    /// # use session_layer::{Key, MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// let sku = String::from("A1");
    /// session.update("cart", |cart: &mut Vec<String>| cart.push(sku.clone()))?; // borrows `sku`: write `move`
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0507
    /// # use session_layer::{Key, MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// let sku = String::from("A1");
    /// session.update("cart", move |cart: &mut Vec<String>| cart.push(sku))?; // moves `sku` out: clone it inside
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0282
    /// # use session_layer::{Key, MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// session.update("visits", |n| *n += 1)?; // of which type? Use a `Key`, or write `|n: &mut u64|`
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// It must not return a borrow of the value either. And it should not hold a clone of its own session: that keeps
    /// the session alive until it is committed.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    pub fn update<T, R>(&self, key: impl IntoKey<T>, f: impl Fn(&mut T) -> R + Send + 'static) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
    {
        self.modify(key, move |value: &mut Option<T>| f(value.get_or_insert_default()))
    }

    /// Changes an entry by a closure that sees whether it is there: `None` removes it.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// # session.insert("lives", &1)?;
    /// session.modify("lives", |lives: &mut Option<u8>| *lives = lives.and_then(|n| n.checked_sub(1)).filter(|&n| n > 0))?;
    /// assert!(!session.contains("lives"));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn modify<T, R>(&self, key: impl IntoKey<T>, f: impl Fn(&mut Option<T>) -> R + Send + 'static) -> Result<R>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let key = key.name();
        check(key)?;
        let key: Arc<str> = key.into();
        let codec = self.shared.settings.codec.clone();
        let run = {
            let key = Arc::clone(&key);
            move |before: Option<&[u8]>| -> Result<(R, Option<Arc<[u8]>>)> {
                let decode =
                    |bytes| codec.decode(bytes).map_err(|error| entry::<T>(ErrorKind::Decode, &key).because(error));
                let mut value: Option<T> = before.map(decode).transpose()?;
                let result = f(&mut value);
                let encode = |value| {
                    let bytes = codec.encode(value)?;
                    codec.verify::<T>(&bytes)?;
                    Ok(bytes.into())
                };
                let after = value.as_ref().map(encode).transpose();
                Ok((result, after.map_err(|error: CodecError| entry::<T>(ErrorKind::Encode, &key).because(error))?))
            }
        };
        loop {
            let (held, revision) = {
                let state = self.shared.state();
                state.writable()?;
                (state.draft.held(&key), state.revision)
            };
            let (result, after) = run(held.bytes(&key))?;
            let mut state = self.shared.state();
            if state.revision != revision {
                continue;
            }
            if let Some(after) = &after {
                self.check_size(&state.draft, &key, after.len())?;
            }
            state.draft.put(&key, after.as_ref());
            state.record(Change::Run(Box::new(move |draft| {
                let (_, after) = run(draft.held(&key).bytes(&key))?;
                draft.put(&key, after.as_ref());
                Ok(())
            })));
            return Ok(result);
        }
    }

    /// Changes an entry by a closure, commits everything that this request has changed, and returns what the closure
    /// returned **when it was finally applied**.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`save`](Self::save).
    pub async fn update_now<T, R>(&self, key: impl IntoKey<T>, f: impl Fn(&mut T) -> R + Send + 'static) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
        R: Send + 'static,
    {
        self.modify_now(key, move |value: &mut Option<T>| f(value.get_or_insert_default())).await
    }

    /// The same with a closure that sees whether the entry is there.
    pub(crate) async fn modify_now<T, R>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut Option<T>) -> R + Send + 'static,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + 'static,
        R: Send + 'static,
    {
        let last = Arc::new(std::sync::Mutex::new(None));
        let slot = Arc::clone(&last);
        self.modify(key, move |value: &mut Option<T>| {
            let result = f(value);
            *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
        })?;
        self.save().await?;
        let result = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // `modify` ran the closure before it returned.
        result.ok_or_else(|| Error::request(ErrorKind::Other))
    }

    /// Whether there is an entry of this key.
    #[must_use]
    pub fn contains(&self, key: impl AsRef<str>) -> bool {
        self.shared.state().draft.get(key.as_ref()).is_some()
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

    /// Removes all entries: those that are there **when it is committed**. The session itself lives on; see
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

    fn decode<T: DeserializeOwned>(&self, key: &str, bytes: Option<&[u8]>) -> Result<Option<T>> {
        let decode = |bytes| self.shared.settings.codec.decode(bytes);
        bytes.map(decode).transpose().map_err(|error| entry::<T>(ErrorKind::Decode, key).because(error))
    }

    fn check_size(&self, draft: &Draft, key: &str, value: usize) -> Result<()> {
        let (after, limit) = (draft.encoded_len_with(key, value), self.shared.settings.max_record);
        // What shrinks a record that is too large already is welcome.
        if after > limit && after > draft.encoded_len() {
            return Err(Error::too_large(Some(key), after, limit));
        }
        Ok(())
    }
}

fn entry<T: ?Sized>(kind: ErrorKind, key: &str) -> Error {
    Error::entry(kind, key, Some(std::any::type_name::<T>()))
}
