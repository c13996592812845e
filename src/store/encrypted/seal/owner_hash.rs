//! The keyed hash that stands for an owner's name in the inner store.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::Mac;

use crate::keyring::RingKey;

const OWNER_HASH_BYTES: usize = 24;

/// The length of an owner's hash in characters.
pub(super) const OWNER_HASH_CHARS: usize = 32;

/// Returns the keyed hash under which the inner store has an owner: 32 characters of base64url.
pub(in crate::store::encrypted) fn owner_hash(key: &RingKey, name: &str) -> String {
    let mut mac = key.owner.clone();
    mac.update(name.as_bytes());
    Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()[..OWNER_HASH_BYTES])
}
