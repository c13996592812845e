//! MessagePack: reading it, and telling whether two values mean the same.

use std::marker::PhantomData;

use serde::de::DeserializeSeed;

use super::{CodecError, value::Value};

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
