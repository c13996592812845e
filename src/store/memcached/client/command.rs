//! Encoded requests.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use super::super::key::Key;

/// The overhead of an item, in bytes: header, CAS value, client flags, and the ends of key and value.
pub(in super::super) const ITEM_OVERHEAD: usize = 48 + 8 + 4 + 1 + 2;

/// One encoded request, with the opaque number that its reply must repeat.
pub(in super::super) struct Command {
    pub(super) bytes: Vec<u8>,
    pub(super) opaque: u64,
    /// The size that the item will have in the server's memory, in bytes; 0 if nothing is stored.
    pub(super) item_size: usize,
    /// The incarnation of the server that gave the CAS value in the command. The command is sent to no other
    /// incarnation.
    pub(super) incarnation: Option<u64>,
}

/// A CAS value, with the incarnation of the server that gave it.
///
/// Servers count CAS values from 1 when they start. Without the incarnation, a value from before a restart could match
/// an item that was written after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Cas {
    /// Never 0: memcached sends 0 if CAS is turned off.
    pub(in super::super) number: u64,
    /// 56 bits.
    pub(in super::super) incarnation: u64,
}

/// The condition of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mode {
    /// None: the set always takes place.
    Always,
    /// There is no item.
    Absent,
    /// The item has this CAS value.
    Cas(Cas),
}

impl Command {
    /// Reads an item; `flags` are those of `mg`, such as `v c t f`.
    pub(in super::super) fn get(key: &Key, flags: &str) -> Self {
        let mut command = Self::start(b"mg ", key, flags.len() + 2);
        command.bytes.push(b' ');
        command.bytes.extend_from_slice(flags.as_bytes());
        command.end()
    }

    /// Moves the expiry of an item. The reply contains the time that it had left before.
    pub(in super::super) fn touch(key: &Key, exptime: i64) -> Self {
        let mut command = Self::start(b"mg ", key, 32);
        // `t` comes before `T`, so it is the time left before the touch.
        command.bytes.extend_from_slice(b" t");
        command.signed(b" T", exptime);
        command.end()
    }

    /// Writes an item. Its value is the concatenation of the parts.
    pub(in super::super) fn set(key: &Key, mode: Mode, exptime: i64, client_flags: u32, value: &[&[u8]]) -> Self {
        let length = value.iter().map(|part| part.len()).sum::<usize>();
        let mut command = Self::start(b"ms ", key, length + 96);
        command.number(b" ", length as u64);
        match mode {
            Mode::Always => command.bytes.extend_from_slice(b" MS"),
            Mode::Absent => command.bytes.extend_from_slice(b" ME"),
            Mode::Cas(cas) => command.compare(cas),
        }
        command.signed(b" T", exptime);
        command.number(b" F", u64::from(client_flags));
        command.bytes.extend_from_slice(b" c");
        command.item_size = ITEM_OVERHEAD + key.as_bytes().len() + length;
        let mut command = command.end();
        for part in value {
            command.bytes.extend_from_slice(part);
        }
        command.bytes.extend_from_slice(b"\r\n");
        command
    }

    /// Deletes an item. With a CAS value, only if the item has it.
    pub(in super::super) fn delete(key: &Key, cas: Option<Cas>) -> Self {
        let mut command = Self::start(b"md ", key, 32);
        if let Some(cas) = cas {
            command.compare(cas);
        }
        command.end()
    }

    fn start(verb: &[u8], key: &Key, more: usize) -> Self {
        let mut bytes = Vec::with_capacity(verb.len() + key.as_bytes().len() + more + 24);
        bytes.extend_from_slice(verb);
        bytes.extend_from_slice(key.as_bytes());
        Self { bytes, opaque: next_opaque(), item_size: 0, incarnation: None }
    }

    fn end(mut self) -> Self {
        self.number(b" O", self.opaque);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    fn compare(&mut self, cas: Cas) {
        self.number(b" C", cas.number);
        self.incarnation = Some(cas.incarnation);
    }

    fn signed(&mut self, before: &[u8], number: i64) {
        self.bytes.extend_from_slice(before);
        if number < 0 {
            self.bytes.push(b'-');
        }
        self.number(b"", number.unsigned_abs());
    }

    fn number(&mut self, before: &[u8], mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(before);
        self.bytes.extend_from_slice(&digits[at..]);
    }
}

/// Returns a number that no other request of this process has. Each thread counts in its own range, since a common
/// counter would be the only thing that all threads write to.
fn next_opaque() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NEXT: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) << 40));
    NEXT.with(|next| next.replace(next.get().wrapping_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_encoded() {
        let key = Key::new(&[b"s:a"]).unwrap();
        let text = |command: Command| {
            let text = String::from_utf8(command.bytes).unwrap();
            text.replace(&format!(" O{}\r\n", command.opaque), " O#\r\n")
        };
        assert_eq!(text(Command::get(&key, "v c t f")), "mg s:a v c t f O#\r\n");
        assert_eq!(text(Command::touch(&key, 60)), "mg s:a t T60 O#\r\n");
        assert_eq!(text(Command::delete(&key, None)), "md s:a O#\r\n");
        let cas = |number| Cas { number, incarnation: 3 };
        assert_eq!(Command::delete(&key, Some(cas(1))).incarnation, Some(3));
        assert_eq!(text(Command::delete(&key, Some(cas(u64::MAX)))), "md s:a C18446744073709551615 O#\r\n");
        let set = Command::set(&key, Mode::Absent, -1, 7, &[b"ab", b"\r\nmn\r\n"]);
        assert_eq!(set.item_size, 48 + 8 + 4 + 1 + 2 + 3 + 8);
        assert_eq!(text(set), "ms s:a 8 ME T-1 F7 c O#\r\nab\r\nmn\r\n\r\n");
        assert_eq!(text(Command::set(&key, Mode::Cas(cas(9)), 1, 0, &[b""])), "ms s:a 0 C9 T1 F0 c O#\r\n\r\n");
    }
}
