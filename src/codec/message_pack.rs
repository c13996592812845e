//! MessagePack: reading it, and telling whether two values mean the same.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};

use super::CodecError;

pub(super) fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &[u8]) -> Result<S::Value, CodecError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    let value = seed.deserialize(&mut deserializer).map_err(|error| CodecError::new(message(&error)))?;
    if rest.is_empty() { Ok(value) } else { Err(CodecError::new("something follows the MessagePack value")) }
}

fn message(error: &rmp_serde::decode::Error) -> &'static str {
    use rmp_serde::decode::Error;
    match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) | Error::LengthMismatch(_) => {
            "the MessagePack ends early"
        }
        Error::DepthLimitExceeded => "the MessagePack is nested too deep",
        _ => "the MessagePack does not fit the type",
    }
}

/// A map that was written in another order is as long as before, so only such values are looked into.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let read = |bytes| decode(PhantomData::<Value>, bytes);
    a.len() == b.len() && matches!((read(a), read(b)), (Ok(a), Ok(b)) if a == b)
}

/// Any value, to be compared: maps by their sorted entries, floating-point numbers by their bits. Extension types are
/// not read, so values that hold one are the same by their bytes only.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Nil,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Single(u32),
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

macro_rules! visit {
    ($($method:ident($type:ty) => $value:expr;)*) => {$(
        fn $method<E>(self, value: $type) -> Result<Value, E> {
            Ok($value(value))
        }
    )*};
}

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    visit! {
        visit_bool(bool) => Value::Bool;
        visit_i64(i64) => Value::Signed;
        visit_u64(u64) => Value::Unsigned;
        visit_f32(f32) => |value: f32| Value::Single(value.to_bits());
        visit_f64(f64) => |value: f64| Value::Double(value.to_bits());
        visit_str(&str) => |value: &str| Value::Text(value.to_owned());
        visit_bytes(&[u8]) => |value: &[u8]| Value::Bytes(value.to_vec());
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = access.next_entry()? {
            map.push(entry);
        }
        map.sort();
        // Which of two entries of one key counts is the reader's choice.
        if map.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(A::Error::custom("a key is there twice"));
        }
        Ok(Value::Map(map))
    }
}
