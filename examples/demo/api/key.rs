//! The key of an entry in a request's path.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

use crate::{
    error::{Error, Result},
    extract::Path,
    shop,
};

/// The longest key, in bytes; the crate's own limit.
const MAX_KEY: usize = 255;

/// A key that the interface may use: a valid one that is not the shop's own. Anybody who could write the shop's entries
/// could become another user.
pub(crate) struct EntryKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for EntryKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(key) = Path::<String>::from_request_parts(parts, state).await?;
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(no_key().await);
        }
        if shop::is_own(&key) {
            return Err(Error::new(StatusCode::FORBIDDEN, format!("the entry {key} is the shop's own")));
        }
        Ok(Self(key))
    }
}

/// The error for `/api/entries/` and `/api/counters/` without a key.
pub(crate) async fn no_key() -> Error {
    Error::bad_request(format!("a key has 1 to {MAX_KEY} bytes"))
}
