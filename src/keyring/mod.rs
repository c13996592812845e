//! Secrets, and the keys that are derived from them: for the cookie, for the records, for owners' names.
//!
//! - [`Secret`]: at least 32 bytes from bytes, base64, a file or an environment variable; a weak one is refused.
//! - [`KeyRing`]: one key that writes and any number that still, or already, open.
//! - [`KeyId`]: which key it was; stands in what a key seals.
//!
//! # Changing the key with no session lost
//!
//! One step at a time, each on every server before the next begins. `new` is the new secret, `old` the present one:
//!
//! | step | ring | in a file, one secret a line |
//! |---|---|---|
//! | before | `KeyRing::new(old)` | old |
//! | 1. every server can open what the new key writes | `KeyRing::new(old).opening(new)?` | old, new |
//! | 2. the new key writes | `KeyRing::new(new).opening(old)?` | new, old |
//! | 3. [`reseal_all`](crate::EncryptedStore::reseal_all), or wait for the longest absolute lifetime | | |
//! | 4. the old key is retired | `KeyRing::new(new)` | new |
//!
//! Step 3 seals records anew. Cookies are signed anew only when a session is renewed: retire the key of *signed cookies*
//! no sooner than the longest absolute lifetime after step 2, or those who signed in before it sign in again. A key that
//! was stolen is taken off at once with [`KeyRing::without`]: what it sealed does not open any more, and what it signed
//! is forged.
//!
//! # Wiping
//!
//! Secrets, derived keys, the states of the ciphers and MACs that are made from them, tokens and the text that they are
//! read from are overwritten when they are dropped (by [zeroize](https://docs.rs/zeroize), with writes that the compiler
//! may not leave out). That shortens the time in which a core dump or a stray read shows them. It is no more than
//! that: what was left in registers and on the stack, pages that were swapped out, an environment
//! variable or file that a secret came from, and a process that ends without dropping (an abort, `process::exit`) are
//! not covered. A ring lives as long as the last clone of it.

mod key_id;
mod ring;
mod secret;

pub(crate) use self::{key_id::KEY_ID_BYTES, ring::RingKey};
pub use self::{
    key_id::{KeyId, KeyRingError},
    ring::KeyRing,
    secret::{Secret, SecretError},
};
