//! The replies of scripts: a letter, and its data.

use redis::Value;

use super::value::{Head, Held, damaged, read_epoch};
use crate::store::{OwnerEpoch, StoreError, StoreErrorKind};

/// The reply of a script about one key.
#[derive(Debug)]
pub(super) enum Reply {
    /// Done. The data depends on the script.
    Done(Vec<u8>),
    /// There is no live record or epoch.
    Gone,
    /// There already is a live record.
    Exists,
    /// Another version is stored: this one.
    Conflict(Box<Held>),
    /// The record.
    Value(Box<Held>),
    /// The stored version is the one that the caller has.
    Same(Head, OwnerEpoch),
    /// Another holder has the lease.
    Leased,
    /// The partition is in this generation, which is newer than that of the session.
    Cleared(u64),
}

impl Reply {
    /// Reads a reply: a string, or a string and a value. The stored value may be damaged. A reply that no script sends
    /// is an error as well.
    pub(super) fn read(reply: Value) -> Result<Self, StoreError> {
        let (said, value) = match reply {
            Value::Array(parts) => {
                let [said, value] = <[Value; 2]>::try_from(parts).map_err(|_| unexpected("an array"))?;
                (bytes(said)?, Some(bytes(value)?))
            }
            reply => (bytes(reply)?, None),
        };
        let (letter, rest) = said.split_first().ok_or_else(|| unexpected("nothing"))?;
        let told = || {
            let told = read_epoch(rest).zip(value.as_deref());
            told.ok_or_else(|| unexpected("a missing value"))
        };
        let held = || told().and_then(|(epoch, value)| Held::read(value, epoch)).map(Box::new);
        Ok(match letter {
            b'd' => Self::Done(rest.to_vec()),
            b'g' => Self::Gone,
            b'e' => Self::Exists,
            b'c' => Self::Conflict(held()?),
            b'v' => Self::Value(held()?),
            b's' => {
                let (epoch, head) = told()?;
                Self::Same(Head::read(head).ok_or_else(|| unexpected("an invalid head"))?, epoch)
            }
            b'h' => Self::Leased,
            b'o' => Self::Cleared(digits(rest)?),
            b'x' => return Err(damaged("the value has a format that this version doesn't write")),
            _ => return Err(unexpected("another script's reply")),
        })
    }
}

/// Whether a script that writes has replied that it has.
pub(super) fn is_done(reply: &Value) -> bool {
    matches!(reply, Value::BulkString(said) if said.first() == Some(&b'd'))
}

/// The bytes of a string.
pub(super) fn bytes(reply: Value) -> Result<Vec<u8>, StoreError> {
    match reply {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        other => Err(unexpected(kind(&other))),
    }
}

/// The strings that `MGET` returns, in the order of its keys. `None` for a key that is missing or has another type.
pub(super) fn strings(reply: Value) -> Result<impl Iterator<Item = Option<Vec<u8>>>, StoreError> {
    let Value::Array(values) = reply else { return Err(unexpected("not an array")) };
    Ok(values.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }))
}

/// The generation in the value of a partition's generation key: 0 before the first clear.
pub(super) fn generation(value: Option<Vec<u8>>) -> u64 {
    value.and_then(|text| digits(&text).ok()).unwrap_or(0)
}

/// The number in a script's reply, which is written in digits.
pub(super) fn number(reply: Value) -> Result<u64, StoreError> {
    digits(&bytes(reply)?)
}

pub(super) fn digits(bytes: &[u8]) -> Result<u64, StoreError> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| unexpected("not a number"))
}

/// The error for a reply that no server sends to this request. It reveals nothing of the reply.
pub(super) fn unexpected(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(format!("the server's reply has an unexpected form: {what}"))
}

fn kind(reply: &Value) -> &'static str {
    match reply {
        Value::Nil => "nil",
        Value::Int(_) => "an integer",
        Value::Array(_) => "an array",
        Value::Okay => "OK",
        _ => "another type",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn replies_of_other_forms_are_errors() {
        for reply in [Value::Nil, Value::Int(1), Value::Okay, Value::Array(vec![]), Value::BulkString(vec![])] {
            assert_eq!(Reply::read(reply).unwrap_err().kind(), StoreErrorKind::Other);
        }
        let damaged = Reply::read(Value::BulkString(b"x".to_vec())).unwrap_err();
        assert_eq!(damaged.kind(), StoreErrorKind::Corrupt);
        assert!(number(Value::BulkString(b"-1".to_vec())).is_err());
        assert_eq!(number(Value::BulkString(b"12".to_vec())).unwrap(), 12);
    }

    proptest! {
        #[test]
        fn hostile_replies_never_panic(letter in "[dgecvshox?][nap]?", rest: Vec<u8>, value: Vec<u8>) {
            let said = Value::BulkString([letter.as_bytes(), &rest].concat());
            let _ = Reply::read(said.clone());
            let _ = Reply::read(Value::Array(vec![said, Value::BulkString(value)]));
        }
    }
}
