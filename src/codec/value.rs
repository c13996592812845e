//! A value of any type, to tell whether two mean the same.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

/// Any value: maps by their sorted entries, floating-point numbers by their bits. MessagePack's extension types are not
/// read, so values that hold one are the same by their bytes only.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
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

impl Value {
    /// Whether a floating-point number is in it.
    pub(super) fn has_float(&self) -> bool {
        match self {
            Self::Single(_) | Self::Double(_) => true,
            Self::List(list) => list.iter().any(Self::has_float),
            Self::Map(map) => map.iter().any(|(key, value)| key.has_float() || value.has_float()),
            _ => false,
        }
    }
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
