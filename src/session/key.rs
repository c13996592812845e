//! The keys of entries, with or without a type.

use std::{fmt, marker::PhantomData};

use serde::de::DeserializeOwned;

use crate::{
    error::{Error, ErrorKind, Result},
    record::{MAX_KEY_BYTES, is_reserved},
};

/// The key of an entry together with its type, so that every use of the entry agrees on it.
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
    /// A key of this name: 1 to 255 bytes.
    ///
    /// # Panics
    ///
    /// If the name is empty or longer; in a `const`, that is an error of compilation.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= MAX_KEY_BYTES, "a key has 1 to 255 bytes");
        Self { name, of: PhantomData }
    }

    /// The key's name.
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

/// What names an entry of type `T`: a [`Key<T>`], or a string, which names an entry of any type.
///
/// With a string the type comes from elsewhere: `session.get::<u64>("visits")`, or a closure whose argument has its
/// type, `session.update("visits", |n: &mut u64| *n += 1)`.
///
/// A key's type must be readable without borrowing (`DeserializeOwned`). So it is an owned type: `Key<String>`, not
/// `Key<str>` or `Key<&str>`.
///
/// ```compile_fail,E0277
/// # use session_layer::{Key, MemoryStore, Session};
/// const NAME: Key<str> = Key::new("name");
///
/// # let session = Session::new(MemoryStore::new());
/// session.insert(NAME, "bob")?;
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
    }

    impl<T: DeserializeOwned> Name for super::Key<T> {
        fn name(&self) -> &str {
            self.name
        }

        fn verifier(&self) -> Option<Verify> {
            Some(Codec::verify::<T>)
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
}

/// Refuses a key that no record can hold.
pub(super) fn check(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || is_reserved(key) {
        return Err(Error::entry(ErrorKind::InvalidKey, key, None));
    }
    Ok(())
}
