//! Which node of a cluster has which slots.

use redis::Value;

/// The number of slots of a cluster.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key. If the key has a hash tag, a non-empty part between its first `{` and the next `}`, only that
/// counts.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}').filter(|close| *close > 0)?;
        Some(&rest[..close])
    });
    crc16(tag.unwrap_or(key)) % 16_384
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

/// The address of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NodeAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl NodeAddress {
    /// Parses `host:port` as in `MOVED` and `ASK`. If the host is missing, it is that of the node that answered.
    pub(super) fn parse(text: &str, answered: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?, answered)
    }

    fn new(host: &str, port: u16, answered: &str) -> Option<Self> {
        let host = match host.trim_start_matches('[').trim_end_matches(']') {
            "" => answered,
            // The node doesn't know its own host name yet.
            "?" => return None,
            host => host,
        };
        (port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

/// A range of slots of one primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) address: NodeAddress,
    /// The node's id: its 40 hexadecimal digits as bytes.
    pub(super) id: [u8; 20],
}

/// Reads a node's answer to `CLUSTER SLOTS`. Leaves out ranges without a usable primary. Returns `None` if it isn't
/// such an answer.
pub(super) fn read(reply: &Value, answered: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    let mut read = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = parts.as_slice() else { return None };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        if first > last || usize::from(last) >= SLOTS {
            return None;
        }
        let [host, Value::Int(port), id, ..] = primary.as_slice() else { return None };
        let host = match host {
            Value::Nil => "",
            other => text(other)?,
        };
        let Some(address) = NodeAddress::new(host, u16::try_from(*port).ok()?, answered) else { continue };
        read.push(Range { first, last, address, id: node_id(text(id)?)? });
    }
    Some(read)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn node_id(text: &str) -> Option<[u8; 20]> {
    let digits = text.as_bytes();
    if digits.len() != 40 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut id = [0; 20];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: the Redis Cluster specification, and `CLUSTER KEYSLOT`.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        let known: [(&str, u16); 9] = [
            ("", 0),
            ("foo", 12_182),
            ("bar", 5_061),
            ("123456789", 12_739),
            ("{foo}x", 12_182),
            ("session:{foo}:bar", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
        ];
        for (key, slot) in known {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, Value::Int(port), bulk(&"0a".repeat(20)), Value::Array(Vec::new())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn a_node_without_a_name_is_the_one_that_answered() {
        let reply = Value::Array(vec![
            range(0, 5, bulk("a"), 1),
            range(6, 6, Value::Nil, 2),
            range(7, 7, bulk(""), 3),
            range(8, 9, bulk("?"), 4),
        ]);
        let ranges = read(&reply, "me").unwrap();
        let found: Vec<_> =
            ranges.iter().map(|range| (range.first, range.last, &*range.address.host, range.address.port)).collect();
        assert_eq!(found, [(0, 5, "a", 1), (6, 6, "me", 2), (7, 7, "me", 3)]);
        assert_eq!(ranges[0].id, [10; 20]);
        assert_eq!(NodeAddress::parse(":7", "me").unwrap(), NodeAddress { host: "me".to_owned(), port: 7 });
        assert_eq!(NodeAddress::parse("::1:7", "me").unwrap().host, "::1");
        assert!(NodeAddress::parse("a:0", "me").is_none() && NodeAddress::parse("a", "me").is_none());
    }

    #[test]
    fn other_answers_are_none() {
        for reply in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(5, 4, bulk("a"), 1)]),
            Value::Array(vec![range(0, 16_384, bulk("a"), 1)]),
            Value::Array(vec![range(-1, 1, bulk("a"), 1)]),
            Value::Array(vec![range(0, 1, bulk("a"), 65_536)]),
            Value::Array(vec![Value::Array(vec![Value::Int(1), Value::Int(2), Value::Array(vec![bulk("a")])])]),
        ] {
            assert_eq!(read(&reply, "me"), None, "{reply:?}");
        }
    }
}
