//! Cookie in, cookie out; knows no store.

#[cfg(feature = "encryption")]
#[cfg_attr(not(test), allow(dead_code, reason = "the middleware calls it"))]
pub(crate) mod seal;
