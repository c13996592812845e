//! The token in the cookie, and the id and the check that a one-way hash derives from it.
//!
//! - [`SessionToken`]: the token. `pool`: tokens that were drawn and not handed out yet. `text`: the cookie's form.
//! - [`SessionId`]: the store's key. [`TokenCheck`]: the half of the hash that the record stores.
//! - [`EntropyError`]: no random numbers.

mod check;
mod entropy;
mod pool;
mod session_id;
mod text;
mod token;

#[cfg(feature = "encryption")]
pub(crate) use self::text::CHARS as TOKEN_CHARS;
pub use self::{
    check::TokenCheck,
    entropy::EntropyError,
    session_id::{ParseIdError, SessionId},
    token::SessionToken,
};
pub(crate) use self::{
    entropy::{fill_random, random_u64},
    token::MAX_NAME_BYTES,
};
