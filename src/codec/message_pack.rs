//! Writes and reads MessagePack, and explains errors without the value.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeSeed};

use super::{CodecError, guard::Guard, reason};

/// How deep lists and maps may be nested.
///
/// `rmp_serde` refuses to read the 1,024th level, but a thread with a stack of 2 MiB, such as tokio's workers,
/// overflows before: in a debug build, common recursive types used it up at 580 levels, reading or writing. So the
/// limit is well below. The map of an enum's variant counts as a level, although `rmp_serde` counts it for untagged
/// enums only.
pub(super) const LEVELS: u16 = 255;

/// Appends the encoded value to the bytes. Structs are written with their fields' names.
pub(super) fn encode<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let guard = Guard::new(LEVELS);
    let written = rmp_serde::encode::write_named(bytes, &guard.value(value));
    match (guard.refusal(), written) {
        (Some(refusal), _) => Err(refusal),
        (None, written) => written.map_err(|error| CodecError::new(unwritten(&error))),
    }
}

pub(super) fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &[u8]) -> Result<S::Value, CodecError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    let value = seed.deserialize(&mut deserializer).map_err(|error| CodecError::new(unread(&error)))?;
    if rest.is_empty() { Ok(value) } else { Err(CodecError::new("something follows the MessagePack value")) }
}

/// Explains why a value can't be written as MessagePack. The type's own message may contain the value.
fn unwritten(error: &rmp_serde::encode::Error) -> Cow<'static, str> {
    use rmp_serde::encode::Error;
    match error {
        Error::Syntax(message) => reason::of_write(message).into(),
        Error::UnknownLength => "a list or map does not say how long it is".into(),
        Error::InvalidDataModel(what) => format!("the type's own serialisation is wrong: {what}").into(),
        Error::DepthLimitExceeded => "it is nested too deep for MessagePack".into(),
        Error::InvalidValueWrite(_) => "it has no form in MessagePack".into(),
    }
}

/// Explains why these bytes can't be read as the type. Serde's message contains pieces of the value, so only the kind
/// of failure is kept.
fn unread(error: &rmp_serde::decode::Error) -> Cow<'static, str> {
    use rmp_serde::decode::Error;
    let what = match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => return "the MessagePack ends early".into(),
        Error::DepthLimitExceeded => return "the MessagePack is nested too deep".into(),
        Error::TypeMismatch(_) => Some(reason::OTHER_TYPE),
        Error::LengthMismatch(_) => Some(reason::OTHER_LENGTH),
        Error::OutOfRange => Some("a number is out of range"),
        Error::Utf8Error(_) => Some("a text is not UTF-8"),
        Error::Syntax(message) | Error::Uncategorized(message) => reason::of_read(message),
    };
    match what {
        Some(what) => format!("the MessagePack does not fit the type: {what}").into(),
        None => "the MessagePack does not fit the type".into(),
    }
}
