//! The store's key of a session.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The store's key of one session. It is a one-way hash of the token, so it is safe in logs, lists and file names.
///
/// `Display` and serde write it as a lower-case hyphenated UUID (RFC 9562), so a handler can take `Path<SessionId>`, or
/// a form with an id in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// Creates the id from the first half of a hash.
    pub(super) fn from_hash(hash: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(Uuid::new_v8(id))
    }

    /// Returns the id as a UUID, for a database column of that type.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// Creates an id from a UUID that a store read back.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the id under which an owner's epoch is stored; see
    /// [`SessionStore::owner_epoch`](crate::SessionStore::owner_epoch).
    ///
    /// `SHA-256("session-layer/owner/1\0" ‖ owner)[..16]` as a version 8 UUID.
    #[must_use]
    pub fn for_epoch(owner: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"session-layer/owner/1\0");
        hash.update(owner.as_bytes());
        Self::from_hash(&hash.finalize().into())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// Writes the form of `Display`, whatever the data format.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = [0; uuid::fmt::Hyphenated::LENGTH];
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut form))
    }
}

/// Reads the form of `Display`, for forms, paths and JSON.
impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl de::Visitor<'_> for Form {
            type Value = SessionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session id: a lower-case hyphenated UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SessionId, E> {
                // The text comes from a client, so it is not repeated.
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Form)
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    /// Parses the form that `Display` writes and no other: hyphenated, lower case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError)?;
        let mut form = [0; uuid::fmt::Hyphenated::LENGTH];
        if id.0.as_hyphenated().encode_lower(&mut form) == text { Ok(id) } else { Err(ParseIdError) }
    }
}

/// The text is not a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected a lower-case hyphenated UUID such as 0b1cbf4c-2d0e-8a53-9f3e-6a5dbb9f3a10")]
pub struct ParseIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_only_its_own_form() {
        let id = SessionId::for_epoch("alice");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.as_uuid().get_version_num(), 8);
        let simple = id.as_uuid().simple().to_string();
        let upper = id.to_string().to_uppercase();
        for wrong in ["", "../../etc/passwd", &simple, &upper, &format!("{{{id}}}"), &format!("urn:uuid:{id}")] {
            assert_eq!(wrong.parse::<SessionId>(), Err(ParseIdError), "{wrong:?}");
        }
    }
}
