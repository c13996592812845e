//! The keys of items.

use crate::id::SessionId;

/// The longest key that memcached accepts, in bytes.
const MAX_KEY_BYTES: usize = 250;

/// The longest prefix, in bytes. It leaves room for an id (36 bytes) and the longest suffix.
pub(super) const MAX_PREFIX_BYTES: usize = 200;

const EPOCH: &[u8] = b":epoch";
const LEASE: &[u8] = b":lease";
const SESSIONS: &[u8] = b":sessions";
const GENERATION: &[u8] = b"generation";
const PROBE: &[u8] = b"probe";

/// A key that memcached accepts, on the stack: 1 to 250 bytes without spaces and control characters.
#[derive(Clone, Copy)]
pub(super) struct Key {
    length: u8,
    bytes: [u8; MAX_KEY_BYTES],
}

impl Key {
    /// Joins the parts of a key. Returns `None` if memcached would not accept it.
    pub(super) fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut key = Self { length: 0, bytes: [0; MAX_KEY_BYTES] };
        let mut length = 0;
        for part in parts {
            if !part.iter().all(|&byte| is_allowed(byte)) {
                return None;
            }
            key.bytes.get_mut(length..length + part.len())?.copy_from_slice(part);
            length += part.len();
        }
        key.length = u8::try_from(length).ok().filter(|&length| length > 0)?;
        Some(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

fn is_allowed(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// The keys of one store. Their prefix is checked once, so each of them is valid.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Box<[u8]>,
}

impl Keys {
    /// Returns the keys with a prefix. The error says what a prefix may be.
    pub(super) fn new(prefix: &str) -> Result<Self, &'static str> {
        if prefix.len() > MAX_PREFIX_BYTES {
            return Err("at most 200 bytes");
        }
        if !prefix.bytes().all(is_allowed) {
            return Err("no space and no control character");
        }
        Ok(Self { prefix: prefix.as_bytes().into() })
    }

    /// The key of a record, by which its server is chosen.
    pub(super) fn record(&self, id: &SessionId) -> Key {
        self.of(id, b"")
    }

    /// The key of a session's lease. It is on the record's server.
    pub(super) fn lease(&self, id: &SessionId) -> Key {
        self.of(id, LEASE)
    }

    /// The key of an owner's epoch, by the owner's id. It is on the server of a record with that id.
    pub(super) fn epoch(&self, owner: &SessionId) -> Key {
        self.of(owner, EPOCH)
    }

    /// The key of the list of an owner's sessions, by the owner's id. It is on the same server as the epoch.
    pub(super) fn sessions(&self, owner: &SessionId) -> Key {
        self.of(owner, SESSIONS)
    }

    /// The key of a server's generation.
    pub(super) fn generation(&self) -> Key {
        self.fixed(GENERATION)
    }

    /// A key that is never written.
    pub(super) fn probe(&self) -> Key {
        self.fixed(PROBE)
    }

    fn of(&self, id: &SessionId, suffix: &[u8]) -> Key {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = id.as_uuid().as_hyphenated().encode_lower(&mut text).as_bytes();
        Key::new(&[&self.prefix, text, suffix]).expect("a checked prefix, an id and a suffix are a valid key")
    }

    fn fixed(&self, suffix: &[u8]) -> Key {
        Key::new(&[&self.prefix, suffix]).expect("a checked prefix and a suffix are a valid key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_memcached_accepts_are_valid() {
        for good in ["k", "session:8a66", "ü", &"k".repeat(250)] {
            assert_eq!(Key::new(&[good.as_bytes()]).expect(good).as_bytes(), good.as_bytes());
        }
        for bad in ["", "a b", "a\r\nmn", "a\0", "a\x7f", "a\tb", &"k".repeat(251)] {
            assert!(Key::new(&[bad.as_bytes()]).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_prefix_leaves_room() {
        let id = SessionId::for_epoch("x");
        let keys = Keys::new(&"p".repeat(MAX_PREFIX_BYTES)).unwrap();
        assert!(keys.sessions(&id).as_bytes().len() <= MAX_KEY_BYTES);
        assert_eq!(Keys::new("").unwrap().record(&id).as_bytes(), id.to_string().as_bytes());
        assert_eq!(Keys::new("s:").unwrap().lease(&id).as_bytes(), format!("s:{id}:lease").as_bytes());
        assert!(Keys::new(&"p".repeat(MAX_PREFIX_BYTES + 1)).is_err());
        assert!(Keys::new("a b").is_err());
    }
}
