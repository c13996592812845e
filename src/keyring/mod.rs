//! Secrets, and the keys derived from them for the cookie, the records and owners' names.
//!
//! - [`Secret`]: at least 32 bytes from bytes, base64, a file or an environment variable; a weak one is refused.
//! - [`KeyRing`]: one key that writes, and any number of earlier or later keys that only open.
//! - [`KeyId`]: identifies a key in the records that it has sealed and the cookies that it has signed.
//!
//! # Rotating the key without losing a session
//!
//! Complete each step on every server before the next. `new` is the new secret, `old` the current one:
//!
//! | step | ring | in a file, one secret a line |
//! |---|---|---|
//! | before | `KeyRing::new(old)` | old |
//! | 1. every server can open what the new key writes | `KeyRing::new(old).opening(new)?` | old, new |
//! | 2. the new key writes | `KeyRing::new(new).opening(old)?` | new, old |
//! | 3. [`reseal_all`](crate::EncryptedStore::reseal_all), or wait for the longest absolute lifetime | | |
//! | 4. the old key is retired | `KeyRing::new(new)` | new |
//!
//! Step 3 reseals records. Cookies are signed again only when a session is renewed: keep a key of *signed cookies* for
//! the longest absolute lifetime after step 2, or users who signed in before that have to sign in again. Remove a stolen
//! key at once with [`KeyRing::without`]: records that it sealed no longer open, and cookies that it signed are forged.
//!
//! # Wiping
//!
//! Secrets, derived keys, the states of ciphers and MACs, tokens, and the text that secrets and tokens are read from are
//! overwritten when they are dropped (by [zeroize](https://docs.rs/zeroize), with writes that the compiler can't remove).
//! That shortens the time in which a core dump or a stray read can expose them. Not covered are copies in registers and
//! on the stack, pages that were swapped out, the environment variable or file of a secret, and a process that ends
//! without dropping (an abort, `process::exit`). A ring lives as long as its last clone.

mod error;
mod key_id;
mod ring;
mod secret;

pub use self::{
    error::KeyRingError,
    key_id::KeyId,
    ring::KeyRing,
    secret::{Secret, SecretError},
};
pub(crate) use self::{key_id::KEY_ID_BYTES, ring::RingKey};
