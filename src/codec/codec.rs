//! The codec of a layer.

use std::{cell::Cell, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

#[cfg(feature = "messagepack")]
use super::message_pack;
use super::{
    custom::CustomCodec,
    error::CodecError,
    json,
    tag::{FIRST_CUSTOM, JSON, MESSAGE_PACK},
    unborrowed::Unborrowed,
};

thread_local! {
    /// Where values are encoded before their length is known.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer with more bytes than this is not kept.
const MOST_KEPT: usize = 16 * 1_024;

/// How values are encoded. Entries are encoded one by one.
///
/// Each stored value begins with a byte that names its codec, so a layer's codec can be changed without losing stored
/// values: an entry is read with the codec that wrote it, and written with the layer's current one. If that codec is
/// not available, reading the value is an error; no other codec is tried.
///
/// # Values that can't be read back are refused
///
/// A built-in codec refuses to write a value that it could not read. The error has the kind
/// [`Encode`](crate::ErrorKind::Encode) and a source that says why, and the old value stays:
///
/// | value | JSON | MessagePack |
/// |---|---|---|
/// | a number that is not finite (`f64::NAN`, `f32::INFINITY`) | refused: JSON has none | kept, bit by bit |
/// | lists and maps within each other | at most 127 | at most 255 |
/// | a map whose keys are no strings, numbers, bools or unit variants | refused: use a list of pairs | kept |
///
/// A struct, a tuple and a variant with content each count as a list or map. Finite floating-point numbers are read
/// back bit by bit.
///
/// # What a codec can't detect
///
/// Some values are read back as others, in every build and without an error. Choose a type that avoids it:
///
/// | value | comes back as | use instead |
/// |---|---|---|
/// | `Some(())`, `Some(None)` of an `Option<Option<T>>` | `None`: both codecs write nothing else for it | an enum with a variant for each case, or a `bool` |
/// | a field under `skip_serializing_if` that is not its default | its default | a condition that only the default meets |
/// | a value of an untagged enum that another variant reads, too | the first variant that reads it | a tagged enum |
///
/// [`Session::insert`](crate::Session::insert) lists types whose `Deserialize` accepts less than their `Serialize`
/// writes.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Codec {
    /// JSON (RFC 8259): readable, and a struct's fields can come and go between releases.
    #[default]
    Json,
    /// MessagePack with field names: smaller than JSON, and as tolerant of fields that come and go.
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// The application's own codec.
    Custom(Arc<dyn CustomCodec>),
}

impl Codec {
    /// Creates a codec from an application's own encoding.
    pub fn custom(codec: impl CustomCodec) -> Self {
        Self::Custom(Arc::new(codec))
    }

    /// Returns what is wrong with this codec's tag, if anything.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Custom(codec) if codec.tag() < FIRST_CUSTOM => Some(format!(
                "the custom codec's tag is {}; tags below {FIRST_CUSTOM} are the built-in codecs'",
                codec.tag()
            )),
            _ => None,
        }
    }

    /// Encodes a value, its tag first.
    pub(crate) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Json => {
                let mut bytes = Vec::with_capacity(64);
                bytes.push(JSON);
                json::encode(&mut bytes, value)?;
                Ok(bytes)
            }
            #[cfg(feature = "messagepack")]
            Self::MessagePack => {
                let mut bytes = vec![MESSAGE_PACK];
                message_pack::encode(&mut bytes, value)?;
                Ok(bytes)
            }
            Self::Custom(codec) => {
                let mut bytes = codec.encode(&value)?;
                bytes.insert(0, codec.tag());
                Ok(bytes)
            }
        }
    }

    /// The same as [`encode`](Self::encode), into a shared block of exactly the encoding's length.
    pub(crate) fn encode_shared<T: Serialize + ?Sized>(&self, value: &T) -> Result<Arc<[u8]>, CodecError> {
        if !matches!(self, Self::Json) {
            return self.encode(value).map(Into::into);
        }
        // A value's `Serialize` may encode another value, which then finds no buffer.
        let mut bytes = BUFFER.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        bytes.push(JSON);
        let encoded = json::encode(&mut bytes, value).map(|()| Arc::from(&*bytes));
        if bytes.capacity() <= MOST_KEPT {
            let _ = BUFFER.try_with(|buffer| buffer.set(bytes));
        }
        encoded
    }

    /// Decodes a value that this or a built-in codec has [encoded](Self::encode).
    pub(crate) fn decode<T: DeserializeOwned>(&self, tagged: &[u8]) -> Result<T, CodecError> {
        match (tagged.split_first(), self) {
            (Some((tag, bytes)), Self::Custom(codec)) if codec.tag() == *tag => {
                decode_custom(&**codec, bytes, |deserializer| erased_serde::deserialize(deserializer))
            }
            _ => self.decode_seed(PhantomData, tagged),
        }
    }

    /// Decodes for a serde seed. Its type must be owned, since a custom codec lends nothing.
    pub(crate) fn decode_seed<'de, S>(&self, seed: S, tagged: &'de [u8]) -> Result<S::Value, CodecError>
    where
        S: DeserializeSeed<'de>,
    {
        let (&tag, bytes) = tagged.split_first().ok_or_else(|| CodecError::new("the stored value is empty"))?;
        match (tag, self) {
            (JSON, _) => json::decode(seed, bytes),
            #[cfg(feature = "messagepack")]
            (MESSAGE_PACK, _) => message_pack::decode(seed, bytes),
            #[cfg(not(feature = "messagepack"))]
            (MESSAGE_PACK, _) => {
                Err(CodecError::new("it was written as MessagePack: compile with the feature `messagepack`"))
            }
            (tag, Self::Custom(codec)) if codec.tag() == tag => {
                let mut seed = Some(seed);
                decode_custom(&**codec, bytes, |deserializer| {
                    let seed = seed.take().ok_or_else(|| serde::de::Error::custom("a second deserializer"))?;
                    seed.deserialize(Unborrowed::new(deserializer))
                })
            }
            (tag, _) => {
                Err(CodecError::new(format!("it was written with the codec of tag {tag}, which is not in use")))
            }
        }
    }

    /// In a build with debug assertions, checks that the type can read its own encoding. The decoded value may encode
    /// differently: a `HashMap` has another order each time.
    ///
    /// # Errors
    ///
    /// If the type can't read it.
    pub(crate) fn verify<T: DeserializeOwned>(&self, encoded: &[u8]) -> Result<(), CodecError> {
        if !cfg!(debug_assertions) {
            return Ok(());
        }
        self.decode::<T>(encoded).map(drop).map_err(CodecError::unreadable)
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("Json"),
            #[cfg(feature = "messagepack")]
            Self::MessagePack => f.write_str("MessagePack"),
            Self::Custom(codec) => write!(f, "Custom({})", codec.tag()),
        }
    }
}

fn decode_custom<T>(
    codec: &dyn CustomCodec,
    bytes: &[u8],
    mut read: impl FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<T, erased_serde::Error>,
) -> Result<T, CodecError> {
    let mut value = None;
    codec.decode(bytes, &mut |deserializer| {
        value = Some(read(deserializer).map_err(|_| CodecError::new("the stored value does not fit the type"))?);
        Ok(())
    })?;
    value.ok_or_else(|| CodecError::new("the codec provided no deserializer"))
}
