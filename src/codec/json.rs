//! Writes and reads JSON, and explains errors without the value.

use serde::{
    Serialize,
    de::{DeserializeSeed, IgnoredAny},
};
use serde_json::error::Category;

use super::{CodecError, guard::Guard, reason};

/// How deep lists and maps may be nested: `serde_json` refuses to read the 128th level.
pub(super) const LEVELS: u16 = 127;

/// Appends the encoded value to the bytes.
pub(super) fn encode<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let guard = Guard::new(LEVELS).finite();
    let written = guard.value(value).serialize(&mut serde_json::Serializer::new(bytes));
    match (guard.refusal(), written) {
        (Some(refusal), _) => Err(refusal),
        (None, written) => written.map_err(|error| unwritten(&error)),
    }
}

/// Checks the text as a whole, since checking string by string costs several times as much.
pub(super) fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, CodecError> {
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => read(seed, serde_json::Deserializer::from_str(text)),
        // This error contains the position.
        Err(_) => read(seed, serde_json::Deserializer::from_slice(bytes)),
    };
    value.map_err(|error| unread(&error, bytes))
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

/// Explains why a value can't be written as JSON. The type's own message may contain the value; `serde_json`'s never
/// does.
fn unwritten(error: &serde_json::Error) -> CodecError {
    let message = error.to_string();
    match error.classify() {
        Category::Data => CodecError::new(reason::of_write(&message)),
        _ if message == "key must be a string" => CodecError::new(
            "a map has a key that is not a string, number or bool; in JSON, an object's key must be a string",
        ),
        _ => CodecError::new(message),
    }
}

/// Explains why these bytes can't be read as the type. Serde's message contains pieces of the value ("invalid type:
/// string "hunter2""), so only the kind of failure and the position are kept.
fn unread(error: &serde_json::Error, bytes: &[u8]) -> CodecError {
    let message = error.to_string();
    let what = match error.classify() {
        Category::Data => reason::of_read(&message),
        Category::Eof => None,
        // If an enum is expected, `serde_json` reports a number as a syntax error.
        _ if serde_json::from_slice::<IgnoredAny>(bytes).is_err() => return at("it is not JSON", error),
        _ if message.starts_with("recursion limit exceeded") => return at("the JSON is nested too deep", error),
        _ => None,
    };
    match (what, error.classify()) {
        (Some(what), _) => at(&format!("the JSON does not fit the type: {what}"), error),
        (None, Category::Eof) => at("the JSON ends early", error),
        (None, _) => at("the JSON does not fit the type", error),
    }
}

fn at(what: &str, error: &serde_json::Error) -> CodecError {
    match error.line() {
        0 => CodecError::new(what),
        line => CodecError::new(format!("{what} (line {line}, column {})", error.column())),
    }
}
