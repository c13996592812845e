//! What scripts answer: a letter, and what belongs to it.

use redis::Value;

use super::value::{Head, Held, damaged, split_epoch};
use crate::store::{OwnerEpoch, StoreError, StoreErrorKind};

/// The answer of a script that is about one key.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is done. What follows is the script's own.
    Done(Vec<u8>),
    /// There is no live record or epoch.
    Gone,
    /// A live record is there already.
    Exists,
    /// Another version is stored: this one.
    Conflict(Box<Held>),
    /// The record.
    Value(Box<Held>),
    /// The version that the caller has is the stored one.
    Same(Head, OwnerEpoch),
    /// Another holder has the lease.
    Leased,
    /// The partition is in this generation, which is newer than that of the session.
    Cleared(u64),
}

impl Reply {
    /// Reads a reply. What is under the key may be damaged, and a reply that no script gives is an error as well.
    pub(super) fn read(reply: Value) -> Result<Self, StoreError> {
        let bytes = bytes(reply)?;
        let (letter, rest) = bytes.split_first().ok_or_else(|| unexpected("nothing"))?;
        let told = || split_epoch(rest).ok_or_else(|| unexpected("no value"));
        let held = || told().and_then(|(epoch, value)| Held::read(value, epoch)).map(Box::new);
        Ok(match letter {
            b'd' => Self::Done(rest.to_vec()),
            b'g' => Self::Gone,
            b'e' => Self::Exists,
            b'c' => Self::Conflict(held()?),
            b'v' => Self::Value(held()?),
            b's' => {
                let (epoch, head) = told()?;
                Self::Same(Head::read(head).ok_or_else(|| unexpected("no head"))?, epoch)
            }
            b'h' => Self::Leased,
            b'o' => Self::Cleared(digits(rest)?),
            b'x' => return Err(damaged("the value is not one that this version writes")),
            _ => return Err(unexpected("another script's reply")),
        })
    }
}

/// The bytes of a string.
pub(super) fn bytes(reply: Value) -> Result<Vec<u8>, StoreError> {
    match reply {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        other => Err(unexpected(kind(&other))),
    }
}

/// The number that a script has answered in digits.
pub(super) fn number(reply: Value) -> Result<u64, StoreError> {
    digits(&bytes(reply)?)
}

fn digits(bytes: &[u8]) -> Result<u64, StoreError> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| unexpected("no number"))
}

/// The error for a reply that no server gives to this request. It shows nothing of the reply.
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
        fn hostile_replies_never_panic(letter in "[dgecvshox?]", rest: Vec<u8>) {
            let _ = Reply::read(Value::BulkString([letter.as_bytes(), &rest].concat()));
        }
    }
}
