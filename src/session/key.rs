//! The keys of entries, with or without a type.

use std::{borrow::Borrow, fmt, marker::PhantomData};

use serde::de::DeserializeOwned;

use crate::{
    error::{Error, ErrorKind, Result},
    record::{MAX_KEY_BYTES, is_reserved},
};

/// The key of an entry together with its type, so that all uses of the entry agree on the type.
///
/// ```
/// use session_layer::Key;
///
/// const VISITS: Key<u64> = Key::new("visits");
/// assert_eq!(VISITS.name(), "visits");
/// ```
pub struct Key<T: ?Sized> {
    name: &'static str,
    of: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Key<T> {
    /// Creates a key with this name: 1 to 255 bytes.
    ///
    /// # Panics
    ///
    /// If the name is empty or longer than 255 bytes. In a `const`, this is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= MAX_KEY_BYTES, "a key has 1 to 255 bytes");
        Self { name, of: PhantomData }
    }

    /// Returns the key's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Key<T> {}

impl<T: ?Sized> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// The key of an entry of type `T`: a [`Key<T>`], or a string, which names an entry of any type.
///
/// With a string, the type comes from elsewhere: `session.get::<u64>("visits")`, or a closure whose argument has its
/// type, `session.update("visits", |n: &mut u64| *n += 1)`.
///
/// A key's type must be readable without borrowing (`DeserializeOwned`), so it is an owned type: `Key<String>`, not
/// `Key<str>` or `Key<&str>`.
///
/// ```compile_fail,E0277
/// # use session_layer::{Key, MemoryStore, Session};
/// const NAME: Key<str> = Key::new("name");
///
/// # let session = Session::new(MemoryStore::new());
/// let name = session.get(NAME)?; // error: `Key<str>` is not the key of an entry of type ..; note: write `Key<String>`
/// # Ok::<(), session_layer::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the key of an entry of type `{T}`",
    label = "not a key of a `{T}`",
    note = "a `Key<T>` is the key of a `T` that is owned and implements `serde::Deserialize`: write `Key<String>`, not \
            `Key<str>`",
    note = "a string names an entry of any type"
)]
pub trait IntoKey<T: ?Sized>: sealed::Name {}

// Shows the note above instead of the one for `Deserialize`.
#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> IntoKey<T> for Key<T> {}
impl<T: ?Sized> IntoKey<T> for &str {}
impl<T: ?Sized> IntoKey<T> for &String {}
impl<T: ?Sized> IntoKey<T> for String {}

/// A key together with a value that can be [inserted](crate::Session::insert) under it.
///
/// | key | values |
/// |---|---|
/// | [`Key<T>`] | `T`, `&T`, and `&U` if `T: Borrow<U>`: a `Key<String>` takes `"hi"`, a `Key<Vec<T>>` takes `&[T]` |
/// | a string | any value that implements `Serialize`, owned or by reference |
///
/// `By` is inferred. It distinguishes owned values from borrowed ones.
///
/// A value of another type does not compile. Nor does a key whose type is not owned:
///
/// ```compile_fail,E0277
/// # use session_layer::{Key, MemoryStore, Session};
/// const VISITS: Key<u64> = Key::new("visits");
///
/// # let session = Session::new(MemoryStore::new());
/// session.insert(VISITS, "many")?; // error: a `&str` can't be inserted under `Key<u64>`
/// # Ok::<(), session_layer::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// # use session_layer::{Key, MemoryStore, Session};
/// const NAME: Key<str> = Key::new("name");
///
/// # let session = Session::new(MemoryStore::new());
/// session.insert(NAME, "bob")?; // note: write `Key<String>`, not `Key<str>`
/// # Ok::<(), session_layer::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{V}` can't be inserted under `{Self}`",
    label = "not a key for a `{V}`",
    note = "a `Key<T>` takes a `T`, a `&T`, or a reference to what `T` borrows (`Key<String>` takes a `&str`)",
    note = "`T` must be owned and implement `serde::Deserialize`: write `Key<String>`, not `Key<str>`",
    note = "a string is a key for any value that implements `serde::Serialize`"
)]
pub trait InsertKey<V, By>: sealed::Name {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> InsertKey<T, by::Value> for Key<T> {}
#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Borrow<U>, U: ?Sized> InsertKey<&U, by::Reference> for Key<T> {}
impl<V> InsertKey<V, by::Name> for &str {}
impl<V> InsertKey<V, by::Name> for &String {}
impl<V> InsertKey<V, by::Name> for String {}

/// How a value is passed to [`InsertKey`]. Without these types, the two implementations for `Key<T>` would overlap if
/// `T` is a reference, and the type of a literal could not be inferred from the key.
mod by {
    #[derive(Debug)]
    pub enum Value {}
    #[derive(Debug)]
    pub enum Reference {}
    #[derive(Debug)]
    pub enum Name {}
}

/// Allows a key where no type is needed: `session.remove(VISITS)`.
impl<T: ?Sized> AsRef<str> for Key<T> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

mod sealed {
    use serde::de::DeserializeOwned;

    use crate::codec::{Codec, CodecError};

    /// Checks that an encoded value can be read; see [`Codec::verify`].
    type Verify = fn(&Codec, &[u8]) -> Result<(), CodecError>;

    pub trait Name {
        fn name(&self) -> &str;

        /// Returns the check for the key's type, if the key has a type.
        fn verifier(&self) -> Option<Verify> {
            None
        }

        /// Returns the name of the key's type, if the key has a type.
        fn type_name(&self) -> Option<&'static str> {
            None
        }
    }

    impl<T: DeserializeOwned> Name for super::Key<T> {
        fn name(&self) -> &str {
            self.name
        }

        fn verifier(&self) -> Option<Verify> {
            Some(Codec::verify::<T>)
        }

        fn type_name(&self) -> Option<&'static str> {
            Some(std::any::type_name::<T>())
        }
    }

    impl Name for &str {
        fn name(&self) -> &str {
            self
        }
    }

    impl Name for &String {
        fn name(&self) -> &str {
            self
        }
    }

    impl Name for String {
        fn name(&self) -> &str {
            self
        }
    }
}

/// Refuses a key that no record can hold.
pub(super) fn check(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || is_reserved(key) {
        return Err(Error::entry(ErrorKind::InvalidKey, key, None));
    }
    Ok(())
}
