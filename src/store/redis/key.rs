//! The keys of the stored values.

use redis::Cmd;
use uuid::fmt::Hyphenated;

use crate::id::SessionId;

/// The maximum length of a prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 200;

/// The number of partitions that sessions are divided into. A partition's keys are in one slot of a cluster.
pub(super) const PARTITIONS: u16 = 1_024;

const GENERATION: &str = "generation";

/// The keys of one store.
///
/// Each key has a hash tag: three hexadecimal digits of the first ten bits of the id, which number its partition.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    /// Keys with this prefix. The error says what is allowed.
    pub(super) fn new(prefix: &str) -> Result<Self, &'static str> {
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES {
            return Err("1 to 200 bytes");
        }
        if prefix.contains(['{', '}']) {
            return Err("no braces: they mark the part of a key that determines its slot in a cluster");
        }
        if prefix.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("no space and no control character");
        }
        Ok(Self { prefix: prefix.into() })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key of a record: `PREFIX{8a6}:ID`.
    pub(super) fn session(&self, id: &SessionId) -> String {
        self.of(id, "")
    }

    /// The command that reads a session and its partition's generation and, with an owner, the owner's epoch and the
    /// generation of that partition.
    pub(super) fn read(&self, id: &SessionId, owner: Option<&SessionId>) -> Cmd {
        let mut command = Cmd::with_capacity(5, 4 + 4 * self.longest());
        command.arg("MGET");
        let mut key = String::with_capacity(self.longest());
        for (id, suffix) in [(Some(id), ""), (owner, ":epoch")] {
            let Some(id) = id else { continue };
            key.clear();
            self.push_id(&mut key, id);
            key.push_str(suffix);
            command.arg(&*key);
            // Keeps what precedes the id.
            key.truncate(self.prefix.len() + 6);
            key.push_str(GENERATION);
            command.arg(&*key);
        }
        command
    }

    /// The key of an owner's epoch, by the owner's id.
    pub(super) fn epoch(&self, owner: &SessionId) -> String {
        self.of(owner, ":epoch")
    }

    /// The key of the list of an owner's sessions, by the owner's id.
    pub(super) fn sessions(&self, owner: &SessionId) -> String {
        self.of(owner, ":sessions")
    }

    /// The key of the generation of an id's partition.
    pub(super) fn generation(&self, id: &SessionId) -> String {
        self.generation_of(partition(id))
    }

    /// The key of a partition's generation.
    pub(super) fn generation_of(&self, partition: u16) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 6 + GENERATION.len());
        self.push_partition(&mut key, partition);
        key.push_str(GENERATION);
        key
    }

    /// A `SCAN` pattern that matches the keys of sessions.
    pub(super) fn all_sessions(&self) -> String {
        format!("{}{{???}}:????????-????-????-????-????????????", self.escaped())
    }

    /// A `SCAN` pattern that matches the keys of epochs.
    pub(super) fn all_epochs(&self) -> String {
        format!("{}{{???}}:????????-????-????-????-????????????:epoch", self.escaped())
    }

    /// The id of the session with this key. `None` if it isn't a session's key.
    pub(super) fn id_of(&self, key: &[u8]) -> Option<SessionId> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let id = std::str::from_utf8(rest.strip_prefix(b"{")?.get(5..)?).ok()?.parse().ok()?;
        (self.session(&id).as_bytes() == key).then_some(id)
    }

    /// The partition in a key's hash tag; 0 if it has none.
    pub(super) fn partition_of(&self, key: &str) -> u16 {
        let tag = key.strip_prefix(&*self.prefix).and_then(|rest| rest.get(1..4));
        tag.and_then(|tag| u16::from_str_radix(tag, 16).ok()).unwrap_or(0)
    }

    /// The prefix as a pattern that matches only itself.
    fn escaped(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len());
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern
    }

    // Not `format!`, which takes ten times as long: each request builds two to five keys.
    fn of(&self, id: &SessionId, suffix: &str) -> String {
        let mut key = String::with_capacity(self.longest());
        self.push_id(&mut key, id);
        key.push_str(suffix);
        key
    }

    fn longest(&self) -> usize {
        self.prefix.len() + 6 + Hyphenated::LENGTH + ":sessions".len()
    }

    fn push_id(&self, key: &mut String, id: &SessionId) {
        self.push_partition(key, partition(id));
        key.push_str(id.as_uuid().as_hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
    }

    /// `PREFIX{8a6}:`
    fn push_partition(&self, key: &mut String, partition: u16) {
        key.push_str(&self.prefix);
        key.push('{');
        for shift in [8, 4, 0] {
            key.push(char::from(b"0123456789abcdef"[usize::from(partition >> shift & 0xf)]));
        }
        key.push_str("}:");
    }
}

/// The partition of an id: its first ten bits. An id is a hash, so they spread evenly.
pub(super) fn partition(id: &SessionId) -> u16 {
    let [first, second, ..] = *id.as_bytes();
    u16::from(first) << 2 | u16::from(second) >> 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_partition_and_its_id() {
        let id = SessionId::for_epoch("alice");
        let keys = Keys::new("session:").unwrap();
        assert_eq!(keys.session(&id), "session:{24a}:928a45b6-9b81-8a3a-8878-229e446bad14");
        assert_eq!(keys.epoch(&id), format!("{}:epoch", keys.session(&id)));
        assert_eq!(keys.sessions(&id), format!("{}:sessions", keys.session(&id)));
        assert_eq!(keys.generation(&id), "session:{24a}:generation");
        assert_eq!(keys.id_of(keys.session(&id).as_bytes()), Some(id));
        for other in [keys.epoch(&id), keys.generation(&id), format!("x{}", keys.session(&id)), "session:{".to_owned()]
        {
            assert_eq!(keys.id_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(keys.id_of(b"session:{249}:928a45b6-9b81-8a3a-8878-229e446bad14"), None, "another partition's tag");
        assert!(partition(&id) < PARTITIONS);
        assert_eq!(keys.partition_of(&keys.epoch(&id)), partition(&id));
    }

    #[test]
    fn a_read_names_the_keys_of_the_session_and_of_its_owner() {
        let (id, owner, keys) =
            (SessionId::for_epoch("id"), SessionId::for_epoch("alice"), Keys::new("session:").unwrap());
        let words = |command: Cmd| {
            let bytes = command.get_packed_command();
            let lines = String::from_utf8(bytes).unwrap();
            lines.split("\r\n").skip(2).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let (session, generation) = (keys.session(&id), keys.generation(&id));
        assert_eq!(words(keys.read(&id, None)), ["MGET", &session, &generation]);
        let all = ["MGET", &session, &generation, &keys.epoch(&owner), &keys.generation(&owner)];
        assert_eq!(words(keys.read(&id, Some(&owner))), all);
    }

    #[test]
    fn wrong_prefixes_are_refused_and_patterns_are_escaped() {
        for wrong in ["", "a{b", "a}b", "a b", "a\n", &"p".repeat(201)] {
            assert!(Keys::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Keys::new("a*[b]?\\").unwrap().all_sessions().starts_with("a\\*\\[b\\]\\?\\\\{"));
    }
}
