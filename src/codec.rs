//! How one entry's value becomes bytes: JSON, MessagePack, or the application's own.

mod json;
#[cfg(feature = "messagepack")]
mod message_pack;
mod unborrowed;
mod value;

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

use self::unborrowed::Unborrowed;

/// How values are encoded. Entries are encoded one by one.
///
/// Each stored value begins with a byte that names its codec, so the codec of a layer can be changed without losing
/// what was written before: an entry is read with the codec that wrote it and written with the present one. A value
/// whose codec is not at hand is an error; it is never tried with another.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Codec {
    /// JSON (RFC 8259): readable, and fields of a struct can come and go between releases.
    #[default]
    Json,
    /// MessagePack with field names: smaller than JSON, and as tolerant of fields that come and go.
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// The application's own.
    Custom(Arc<dyn CustomCodec>),
}

/// An encoding of the application's own.
///
/// ```
/// use session_layer::codec::{CodecError, CustomCodec, Visit};
/// use session_layer::erased_serde::{Deserializer, Serialize};
///
/// /// JSON under a tag of its own, to keep the example short.
/// struct Mine;
///
/// impl CustomCodec for Mine {
///     fn tag(&self) -> u8 {
///         200
///     }
///
///     fn encode(&self, value: &dyn Serialize) -> Result<Vec<u8>, CodecError> {
///         serde_json::to_vec(value).map_err(|_| CodecError::new("it has no form in JSON"))
///     }
///
///     fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError> {
///         let mut json = serde_json::Deserializer::from_slice(bytes);
///         visit(&mut <dyn Deserializer>::erase(&mut json))?;
///         json.end().map_err(|_| CodecError::new("something follows the value"))
///     }
/// }
/// ```
pub trait CustomCodec: Send + Sync + 'static {
    /// The byte that names this codec in stored values: 128 to 255, and the same for ever.
    fn tag(&self) -> u8;

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// If the value has no form in this encoding. The message must not hold the value.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError>;

    /// Decodes `bytes` by handing a deserializer over them to `visit`, once.
    ///
    /// # Errors
    ///
    /// Those of `visit`, and one for bytes that follow the value. The message must not hold the value.
    fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError>;

    /// Whether two encoded values mean the same. By default: whether their bytes are equal.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}

/// What [`CustomCodec::decode`] hands its deserializer to.
pub type Visit<'a> = &'a mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), CodecError>;

/// A value could not be encoded or decoded. The message says why and where, never what the value was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    /// An error with this message, which must not hold the value.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What serde says holds pieces of the value ("invalid type: string "hunter2""), so only the place is kept.
    fn json(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Data => "the JSON does not fit the type",
            Category::Syntax => "it is not JSON",
            Category::Eof => "the JSON ends early",
            Category::Io => "it has no form in JSON",
        };
        match error.line() {
            0 => Self::new(what),
            line => Self::new(format!("{what} (line {line}, column {})", error.column())),
        }
    }
}

const JSON: u8 = 1;
const MESSAGE_PACK: u8 = 2;
const FIRST_CUSTOM: u8 = 128;

impl Codec {
    /// An application's own codec.
    pub fn custom(codec: impl CustomCodec) -> Self {
        Self::Custom(Arc::new(codec))
    }

    /// What is wrong with this codec's tag, if anything.
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
                serde_json::to_writer(&mut bytes, value).map_err(|error| CodecError::json(&error))?;
                Ok(bytes)
            }
            #[cfg(feature = "messagepack")]
            Self::MessagePack => {
                let mut bytes = vec![MESSAGE_PACK];
                rmp_serde::encode::write_named(&mut bytes, value)
                    .map_err(|_| CodecError::new("it has no form in MessagePack"))?;
                Ok(bytes)
            }
            Self::Custom(codec) => {
                let mut bytes = codec.encode(&value)?;
                bytes.insert(0, codec.tag());
                Ok(bytes)
            }
        }
    }

    /// Decodes what [`encode`](Self::encode) of this or of a built-in codec wrote.
    pub(crate) fn decode<T: DeserializeOwned>(&self, tagged: &[u8]) -> Result<T, CodecError> {
        match (tagged.split_first(), self) {
            (Some((tag, bytes)), Self::Custom(codec)) if codec.tag() == *tag => {
                decode_custom(&**codec, bytes, |deserializer| erased_serde::deserialize(deserializer))
            }
            _ => self.decode_seed(PhantomData, tagged),
        }
    }

    /// The same for what serde describes by a seed. It must be a seed of an owned type: a custom codec lends nothing.
    pub(crate) fn decode_seed<'de, S>(&self, seed: S, tagged: &'de [u8]) -> Result<S::Value, CodecError>
    where
        S: DeserializeSeed<'de>,
    {
        let (&tag, bytes) = tagged.split_first().ok_or_else(|| CodecError::new("the stored value is empty"))?;
        match (tag, self) {
            (JSON, _) => json::decode(seed, bytes).map_err(|error| CodecError::json(&error)),
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

    /// Whether two stored values mean the same, so that writing one over the other changes nothing.
    pub(crate) fn same(&self, a: &[u8], b: &[u8]) -> bool {
        if a == b {
            return true;
        }
        match (a.split_first(), b.split_first(), self) {
            (Some((&JSON, a)), Some((&JSON, b)), _) => json::same(a, b),
            #[cfg(feature = "messagepack")]
            (Some((&MESSAGE_PACK, a)), Some((&MESSAGE_PACK, b)), _) => message_pack::same(a, b),
            (Some((x, a)), Some((y, b)), Self::Custom(codec)) if x == y && *x == codec.tag() => codec.same(a, b),
            _ => false,
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
    value.ok_or_else(|| CodecError::new("the codec gave no deserializer"))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct User {
        name: String,
        age: u8,
    }

    fn bob() -> User {
        User { name: "hunter2".into(), age: 40 }
    }

    struct Reversed;

    impl CustomCodec for Reversed {
        fn tag(&self) -> u8 {
            200
        }

        fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError> {
            let mut bytes = serde_json::to_vec(value).map_err(|error| CodecError::json(&error))?;
            bytes.reverse();
            Ok(bytes)
        }

        fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError> {
            let forward: Vec<u8> = bytes.iter().rev().copied().collect();
            let mut json = serde_json::Deserializer::from_slice(&forward);
            visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))?;
            json.end().map_err(|error| CodecError::json(&error))
        }
    }

    fn codecs() -> Vec<Codec> {
        vec![
            Codec::Json,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack,
            Codec::custom(Reversed),
        ]
    }

    #[test]
    fn values_round_trip_and_garbage_is_an_error() {
        for codec in codecs() {
            let bytes = codec.encode(&bob()).unwrap();
            assert_eq!(codec.decode::<User>(&bytes).unwrap(), bob(), "{codec:?}");
            assert!(codec.complaint().is_none());
            for cut in 0..bytes.len() {
                assert!(codec.decode::<User>(&bytes[..cut]).is_err(), "{codec:?} at {cut}");
            }
            let mut longer = bytes.clone();
            longer.push(b'x');
            assert!(codec.decode::<User>(&longer).is_err(), "{codec:?}");
        }
    }

    /// Everything that serde's data model knows.
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Everything {
        integers: (i8, i16, i32, i64, i128, u8, u16, u32, u64, u128),
        others: (f32, f64, bool, char, ()),
        text: String,
        some: Option<Box<Everything>>,
        none: Option<u8>,
        list: Vec<User>,
        map: BTreeMap<u8, String>,
        unit: Unit,
        newtype: Newtype,
        tuple: Tuple,
        variants: Vec<Variant>,
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Unit;
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Newtype(String);
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Tuple(u8, String);
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Variant {
        Unit,
        Newtype(String),
        Tuple(u8, String),
        Struct { name: String },
    }

    fn everything(some: Option<Box<Everything>>) -> Everything {
        Everything {
            integers: (-1, -2, -3, -4, -5, 6, 7, 8, 9, 10),
            others: (0.5, -0.25, true, 'x', ()),
            text: "text".into(),
            some,
            none: None,
            list: vec![bob(), bob()],
            map: [(1, "one".into()), (2, "two".into())].into(),
            unit: Unit,
            newtype: Newtype("new".into()),
            tuple: Tuple(3, "three".into()),
            variants: vec![
                Variant::Unit,
                Variant::Newtype("n".into()),
                Variant::Tuple(1, "t".into()),
                Variant::Struct { name: "s".into() },
            ],
        }
    }

    #[test]
    fn a_seed_reads_what_a_type_reads() {
        let value = everything(Some(Box::new(everything(None))));
        for codec in codecs() {
            let bytes = codec.encode(&value).unwrap();
            assert_eq!(codec.decode::<Everything>(&bytes).unwrap(), value, "{codec:?}");
            assert_eq!(codec.decode_seed(PhantomData::<Everything>, &bytes).unwrap(), value, "{codec:?}");
            for cut in 0..bytes.len() {
                let seed = PhantomData::<Everything>;
                assert!(codec.decode_seed(seed, &bytes[..cut]).is_err(), "{codec:?} at {cut}");
            }
        }
    }

    #[test]
    fn errors_say_the_place_and_never_the_value() {
        for codec in codecs() {
            let bytes = codec.encode(&bob()).unwrap();
            let error = codec.decode::<BTreeMap<String, u64>>(&bytes).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let bytes = Codec::Json.encode(&bob()).unwrap();
        let error = Codec::Json.decode::<u64>(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "the JSON does not fit the type (line 1, column 0)");
    }

    #[test]
    fn a_value_is_read_with_the_codec_that_wrote_it() {
        let json = Codec::Json.encode(&bob()).unwrap();
        for codec in codecs() {
            assert_eq!(codec.decode::<User>(&json).unwrap(), bob(), "{codec:?}");
        }
        let custom = Codec::custom(Reversed).encode(&bob()).unwrap();
        let error = Codec::Json.decode::<User>(&custom).unwrap_err();
        assert_eq!(error.to_string(), "it was written with the codec of tag 200, which is not in use");
    }

    #[test]
    fn maps_in_another_order_are_the_same() {
        let a = [&[JSON][..], br#"{"a":1,"b":2}"#].concat();
        let b = [&[JSON][..], br#"{"b":2,"a":1}"#].concat();
        let c = [&[JSON][..], br#"{"b":1,"a":2}"#].concat();
        assert!(Codec::Json.same(&a, &b));
        assert!(!Codec::Json.same(&a, &c));
        assert!(!Codec::Json.same(&a, &[]));
        let json = |text: &str| [&[JSON][..], text.as_bytes()].concat();
        for (a, b, same) in [
            (r#"[{"a":{"x":1,"y":2}}]"#, r#"[{"a":{"y":2,"x":1}}]"#, true),
            (r#"[{"a":{"x":1,"y":2}}]"#, r#"[{"a":{"y":2,"x":3}}]"#, false),
            // Which could be others than they seem.
            (r#"{"x":0.1,"y":2}"#, r#"{"y":2,"x":0.1}"#, false),
            ("[1,2]", "[2,1]", false),
            (r#"{"a":1,"a":2}"#, r#"{"a":3,"a":2}"#, false),
            ("{\"a\":1", "{\"a\":2", false),
        ] {
            assert_eq!(Codec::Json.same(&json(a), &json(b)), same, "{a} {b}");
        }
        let deep = |end: &str| json(&format!("{}{end}{}", "[".repeat(100_000), "]".repeat(100_000)));
        assert!(!Codec::Json.same(&deep("1"), &deep("2")));
    }

    /// Neighbours that a reader of `f64` takes for one number.
    #[test]
    fn numbers_are_the_same_only_if_they_are() {
        let mut bits = 0x3fb9_9999_9999_999a_u64;
        for _ in 0..2_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let one = f64::from_bits(bits >> 12 | 0x3ff0_0000_0000_0000) * 1e-7;
            let next = f64::from_bits(one.to_bits() + 1);
            for codec in codecs() {
                assert!(!codec.same(&codec.encode(&one).unwrap(), &codec.encode(&next).unwrap()), "{codec:?} {one:?}");
            }
        }
        for codec in [Codec::Json, Codec::custom(Reversed)] {
            let large = u128::from(u64::MAX) + 1;
            assert!(!codec.same(&codec.encode(&large).unwrap(), &codec.encode(&(large + 1)).unwrap()), "{codec:?}");
        }
    }

    #[cfg(feature = "messagepack")]
    #[test]
    fn message_pack_maps_in_another_order_are_the_same() {
        use std::collections::HashMap;

        type Nested = HashMap<u8, HashMap<String, (f32, f64, Option<i32>)>>;
        let codec = Codec::MessagePack;
        let nested = |last: i32| -> Nested {
            let inner = |n: u8| (0..20).map(|m| (format!("{n}{m}"), (0.5, f64::NAN, Some(-last)))).collect();
            (0..20).map(|n| (n, inner(n))).collect()
        };
        let value = codec.encode(&nested(7)).unwrap();
        // Each map has an order of its own, so of many one is another.
        let others: Vec<_> = (0..8).map(|_| codec.encode(&nested(7)).unwrap()).collect();
        assert!(others.iter().any(|other| *other != value));
        for other in others {
            assert!(codec.same(&value, &other));
        }
        assert!(!codec.same(&value, &codec.encode(&nested(8)).unwrap()));
        for (a, b) in [(codec.encode(&0.0), codec.encode(&-0.0)), (codec.encode(&[1, 2]), codec.encode(&[2, 1]))] {
            assert!(!codec.same(&a.unwrap(), &b.unwrap()));
        }
        assert!(
            !codec.same(&[MESSAGE_PACK, 0xc1], &[MESSAGE_PACK, 0xc0]),
            "what can't be read is only the same as itself"
        );
    }

    #[test]
    fn a_tag_of_a_built_in_codec_is_refused() {
        struct Thief;
        impl CustomCodec for Thief {
            fn tag(&self) -> u8 {
                JSON
            }
            fn encode(&self, _: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError> {
                Ok(Vec::new())
            }
            fn decode(&self, _: &[u8], _: Visit<'_>) -> Result<(), CodecError> {
                Ok(())
            }
        }
        assert!(Codec::custom(Thief).complaint().unwrap().contains("tag is 1"));
    }
}
