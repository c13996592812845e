//! Changes entries with closures that can run again, or exactly once.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    access::entry,
    changes::{Change, Replay},
    closures::{Again, Ran},
    draft::Draft,
    key::{IntoKey, check},
    session::Session,
};
use crate::{
    codec::{Codec, CodecError},
    error::{Error, ErrorKind, Result},
    store::SessionStore,
};

/// # Updates
impl Session {
    /// Changes an entry with a closure and returns the closure's result. If there is no entry, the closure starts from
    /// the type's default.
    ///
    /// If another request has changed the session in between, **the closure runs again** on the newer value when this
    /// request is committed, so that no update is lost. The result returned here is from the first run. To get the
    /// result of the last run, use [`update_now`](Self::update_now). A closure that ignores its argument overwrites
    /// what others wrote.
    ///
    /// If there is no entry and the closure leaves the default unchanged, nothing is stored. A default that differs
    /// each time (a random token) is created again when the closure runs again. For such a value, use
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// The closure's changes are stored whatever it returns. For a closure that can refuse, use
    /// [`try_update`](Self::try_update).
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
    /// Since the closure can run again, later and elsewhere, it must own what it captures and must not move it out:
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
    /// The closure can't return a borrow of the value. It should not hold a clone of its own session, which would keep
    /// the session alive until it is committed.
    ///
    /// # Errors
    ///
    /// Same as for [`get`](Self::get) and [`insert`](Self::insert).
    #[doc(alias = "update_or")]
    pub fn update<T, R>(&self, key: impl IntoKey<T>, f: impl Fn(&mut T) -> R + Send + Sync + 'static) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
    {
        Ok(self.run_on_entry(key.name(), Some(T::default), move |value| Ran::kept(f(present(value))))?.0)
    }

    /// Changes an entry with a closure that can refuse. If it returns `Err`, the entry is left unchanged, whatever the
    /// closure did to its argument. The outer error is the session's, the inner one the closure's.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// let add = |cart: &mut Vec<u8>| {
    ///     cart.push(7);
    ///     if cart.len() > 2 { Err("full") } else { Ok(cart.len()) }
    /// };
    /// assert_eq!(session.try_update("cart", add)?, Ok(1));
    /// assert_eq!(session.try_update("cart", add)?, Ok(2));
    /// assert_eq!(session.try_update("cart", add)?, Err("full"));
    /// assert_eq!(session.get("cart")?, Some(vec![7, 7]));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// If the closure succeeds here but refuses when it runs again on a newer value, its change is not made. To learn
    /// the final result, use [`try_update_now`](Self::try_update_now).
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update).
    pub fn try_update<T, R, E>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
    {
        Ok(self.run_on_entry(key.name(), Some(T::default), move |value| Ran::if_ok(f(present(value))))?.0)
    }

    /// Changes an entry with a closure that sees whether it exists. Setting it to `None` removes the entry.
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
    /// Same as for [`update`](Self::update).
    pub fn modify<T, R>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut Option<T>) -> R + Send + Sync + 'static,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.run_on_entry(key.name(), None, move |value| Ran::kept(f(value)))?.0)
    }

    /// Like [`modify`](Self::modify), but with a closure that can refuse; see [`try_update`](Self::try_update).
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update).
    pub fn try_modify<T, R, E>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut Option<T>) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        Ok(self.run_on_entry(key.name(), None, move |value| Ran::if_ok(f(value)))?.0)
    }

    /// Changes an entry with a closure, commits everything that this request has changed, and returns the closure's
    /// result **of its last run**.
    ///
    /// If the commit fails, this change is withdrawn, so calling this again makes one change, not two. Other unsaved
    /// changes of this request are held back, as after a failed [`save`](Self::save).
    ///
    /// # Errors
    ///
    /// Same as for [`update`](Self::update) and [`save`](Self::save). After
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown), the change may have been made.
    pub async fn update_now<T, R>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut T) -> R + Send + Sync + 'static,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
        R: Send + 'static,
    {
        self.run_on_entry_now(key.name(), Some(T::default), Again::Merged, move |value| Ran::kept(f(present(value))))
            .await
    }

    /// Like [`update_now`](Self::update_now), but with a closure that can refuse. If it returns `Err`, the entry is
    /// left unchanged. If the first run refuses, nothing is committed.
    ///
    /// # Errors
    ///
    /// Same as for [`update_now`](Self::update_now).
    pub async fn try_update_now<T, R, E>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut T) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<Result<R, E>>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        self.run_on_entry_now(key.name(), Some(T::default), Again::Merged, move |value| Ran::if_ok(f(present(value))))
            .await
    }

    /// Like [`update_now`](Self::update_now), but with a closure that sees whether the entry exists.
    ///
    /// # Errors
    ///
    /// Same as for [`update_now`](Self::update_now).
    pub async fn modify_now<T, R>(
        &self,
        key: impl IntoKey<T>,
        f: impl Fn(&mut Option<T>) -> R + Send + Sync + 'static,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + 'static,
        R: Send + 'static,
    {
        self.run_on_entry_now(key.name(), None, Again::Merged, move |value| Ran::kept(f(value))).await
    }

    /// Removes an entry, commits everything that this request has changed, and returns the entry's value **to at most
    /// one of all requests that take it.** Use it for one-time tokens, OAuth's `state`, or vouchers.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let session = Session::new(MemoryStore::new());
    /// # session.insert("state", "af0ifjsldkj")?;
    /// # session.save().await?;
    /// let expected: Option<String> = session.take_now("state").await?;
    /// assert_eq!(expected.as_deref(), Some("af0ifjsldkj"));
    /// assert_eq!(session.take_now::<String>("state").await?, None);
    /// # Ok::<(), session_layer::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// No conflict policy weakens this guarantee. If the store does not answer, no request gets the value, and the
    /// error is [`OutcomeUnknown`](ErrorKind::OutcomeUnknown).
    ///
    /// # Errors
    ///
    /// Same as for [`update_now`](Self::update_now); [`Decode`](ErrorKind::Decode), in which case the entry stays; and
    /// [`Unsupported`](ErrorKind::Unsupported) over a store that [overwrites](crate::SessionStore::overwrites).
    pub async fn take_now<T>(&self, key: impl IntoKey<T>) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        if self.request.context.store.overwrites() {
            return Err(Error::request(ErrorKind::Unsupported));
        }
        let take = |value: &mut Option<T>| {
            let taken = value.take();
            Ran { keep: taken.is_some(), result: taken }
        };
        self.run_on_entry_now(key.name(), None, Again::Exactly, take).await
    }

    /// Returns the value of an entry. If there is none, sets the entry to the result of `make`.
    ///
    /// If another request sets the entry first, the other's value stays, and the value returned here is not stored. To
    /// get the stored value, use [`get_or_insert_with_now`](Self::get_or_insert_with_now). This call never causes a
    /// conflict, so pages that load at the same time can share a CSRF token or the id of a cart.
    ///
    /// # Errors
    ///
    /// Same as for [`get`](Self::get) and [`insert`](Self::insert).
    pub fn get_or_insert_with<T>(&self, key: impl IntoKey<T>, make: impl FnOnce() -> T) -> Result<T>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let (value, _) = self.get_or_make(key.name(), make)?;
        Ok(value)
    }

    /// Like [`get_or_insert_with`](Self::get_or_insert_with), but commits at once, together with everything else that
    /// this request has changed, and returns the stored value. Concurrent requests all get the same value.
    ///
    /// # Errors
    ///
    /// Same as for [`get_or_insert_with`](Self::get_or_insert_with) and [`save`](Self::save).
    pub async fn get_or_insert_with_now<T>(&self, key: impl IntoKey<T>, make: impl FnOnce() -> T) -> Result<T>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let key: Arc<str> = key.name().into();
        // The value does not live across the await, so it need not be `Send`.
        match self.get_or_make(&key, make)? {
            (_, Some(number)) => self.save_own(number).await?,
            // Set by this request but not saved: another request can still be first.
            (_, None) if self.request.state().draft.is_changed(&key) => self.save().await?,
            (value, None) => return Ok(value),
        }
        let entry = {
            let mut state = self.request.state();
            // The caller sees the stored value.
            state.see(&key, self.request.settings());
            state.draft.entry(&key)
        };
        // This request or another has set the entry. It is missing only if another has removed it since.
        self.decode(&key, entry.bytes(&key))?.ok_or_else(|| Error::entry(ErrorKind::Conflict, &key, None))
    }

    /// Runs a closure on an entry and logs it. Returns the closure's result and the number of the change.
    fn run_on_entry<T, R>(
        &self,
        key: &str,
        default: Option<fn() -> T>,
        f: impl Fn(&mut Option<T>) -> Ran<R> + Send + Sync + 'static,
    ) -> Result<(R, Option<u64>)>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        check(key)?;
        let run = on_entry(self.request().settings().codec.clone(), key.into(), default, f);
        self.request().run(Some(key), Again::Merged, run)
    }

    /// Like [`run_on_entry`](Self::run_on_entry), but commits at once and returns the result of the closure's last run.
    async fn run_on_entry_now<T, R>(
        &self,
        key: &str,
        default: Option<fn() -> T>,
        again: Again,
        f: impl Fn(&mut Option<T>) -> Ran<R> + Send + Sync + 'static,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + 'static,
        R: Send + 'static,
    {
        check(key)?;
        let run = on_entry(self.request().settings().codec.clone(), key.into(), default, f);
        let (key, request): (Arc<str>, _) = (key.into(), Arc::clone(self.request()));
        let result = Arc::clone(&request).run_now(Some(&key), again, run).await?;
        // The closure has seen the stored value, and so has its caller.
        request.state().see(&key, request.settings());
        Ok(result)
    }

    /// Commits. If that fails, withdraws the change with this number.
    async fn save_own(&self, number: u64) -> Result<()> {
        let request = Arc::clone(self.request());
        self.request().context.outliving.run_on(async move { request.save(Some(number)).await }).await
    }

    /// Returns the value, and the number of the change if the value was made.
    fn get_or_make<T>(&self, key: &str, make: impl FnOnce() -> T) -> Result<(T, Option<u64>)>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        check(key)?;
        if let Some(value) = self.get::<T>(key)? {
            return Ok((value, None));
        }
        let value = make();
        let codec = &self.request().settings().codec;
        let encoded = codec.encode(&value).and_then(|bytes| codec.verify::<T>(&bytes).map(|()| bytes));
        let bytes: Arc<[u8]> = encoded.map_err(|error| entry::<T>(ErrorKind::Encode, key).because(error))?.into();
        let key: Arc<str> = key.into();
        let mut state = self.request().state();
        state.require_writable()?;
        if state.draft.get(&key).is_some() {
            drop(state);
            // A clone of this session has set the entry in the meantime.
            return Ok((self.get::<T>(&*key)?.unwrap_or(value), None));
        }
        self.check_size(&state.draft, &key, bytes.len())?;
        // The replay runs none of the application's code.
        let replay: Replay = Arc::new(move |draft: &mut Draft| {
            if draft.get(&key).is_none() {
                draft.put(&key, Some(&bytes));
            }
            Ok(())
        });
        replay(&mut state.draft)?;
        Ok((value, Some(state.log(Change::Run(replay)))))
    }
}

/// Returns the value. If there was no entry, this is the type's default.
fn present<T>(value: &mut Option<T>) -> &mut T {
    value.as_mut().expect("a missing entry is replaced by the default first")
}

/// Turns a closure on one entry into one on the draft.
fn on_entry<T, R>(
    codec: Codec,
    key: Arc<str>,
    default: Option<fn() -> T>,
    f: impl Fn(&mut Option<T>) -> Ran<R> + Send + Sync + 'static,
) -> impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static
where
    T: Serialize + DeserializeOwned + 'static,
{
    move |draft| {
        let stored = draft.entry(&key);
        let decode = |bytes| codec.decode(bytes).map_err(|error| entry::<T>(ErrorKind::Decode, &key).because(error));
        let mut value: Option<T> = stored.bytes(&key).map(decode).transpose()?;
        let mut unchanged = None;
        if let (None, Some(default)) = (&value, default) {
            let made = default();
            // A default that can't be encoded does not count as unchanged.
            unchanged = codec.encode(&made).ok();
            value = Some(made);
        }
        let ran = f(&mut value);
        if ran.keep {
            let encode = |value: &T| -> Result<Vec<u8>, CodecError> {
                let bytes = codec.encode(value)?;
                codec.verify::<T>(&bytes)?;
                Ok(bytes)
            };
            let after = value.as_ref().map(encode).transpose();
            let after = after.map_err(|error| entry::<T>(ErrorKind::Encode, &key).because(error))?;
            if unchanged.is_none() || after != unchanged {
                draft.put(&key, after.map(Into::into).as_ref());
            }
        }
        Ok(ran)
    }
}
