//! JSON: reading it, and telling whether two values mean the same.

use std::marker::PhantomData;

use serde::de::DeserializeSeed;

use super::value::Value;

/// The text is checked as a whole: string by string costs several times as much.
pub(super) fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> serde_json::Result<S::Value> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read(seed, serde_json::Deserializer::from_str(text)),
        // It says where.
        Err(_) => read(seed, serde_json::Deserializer::from_slice(bytes)),
    }
}

fn read<'de, S, R>(seed: S, mut json: serde_json::Deserializer<R>) -> serde_json::Result<S::Value>
where
    S: DeserializeSeed<'de>,
    R: serde_json::de::Read<'de>,
{
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// A map that was written in another order is as long as before, so only such values are looked into.
///
/// Not those with fractions, or integers beyond 64 bits: read, two different ones could be one `f64`. They are the same by
/// their bytes only.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let read = |bytes| decode(PhantomData::<Value>, bytes);
    a.len() == b.len() && matches!((read(a), read(b)), (Ok(a), Ok(b)) if a == b && !a.has_float())
}
