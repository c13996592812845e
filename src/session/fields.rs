//! Maps a struct to the entries of a session. Each field is one entry, and its serialized name is the key.
//!
//! serde passes the names of a struct's fields in both directions, so the derived code is all that is needed.

use std::{cell::Cell, collections::BTreeMap, fmt};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
    ser::{self, Impossible, SerializeStruct},
};

use super::draft::Draft;
use crate::{
    codec::{Codec, CodecError},
    error::{Error, ErrorKind, Result},
};

/// The encoded fields of a struct, by key.
pub(super) type Encoded = BTreeMap<&'static str, Vec<u8>>;

/// A struct as read from the entries.
pub(super) struct Decoded<T> {
    pub(super) value: T,
    /// Every key that the struct reads: its fields and their aliases.
    pub(super) keys: &'static [&'static str],
    /// At least one of these keys is stored. If none is, the value is the type's default.
    pub(super) is_stored: bool,
}

/// Decodes a struct. Reads no entries but its own.
pub(super) fn decode<T: DeserializeOwned + Default>(codec: &Codec, draft: &Draft) -> Result<Decoded<T>> {
    let listed = Cell::new(None);
    let outcome = T::deserialize(Reader { codec, draft, listed: &listed });
    match (outcome, listed.get()) {
        (_, Some((keys, false))) => Ok(Decoded { value: T::default(), keys, is_stored: false }),
        (Ok(value), Some((keys, true))) => Ok(Decoded { value, keys, is_stored: true }),
        (Ok(_), None) => Err(FieldsError::shape().named::<T>(ErrorKind::Decode)),
        (Err(error), _) => Err(error.named::<T>(ErrorKind::Decode)),
    }
}

/// Encodes a struct field by field. Fields that it skips are absent.
pub(super) fn encode<T: Serialize>(codec: &Codec, value: &T) -> Result<Encoded> {
    let writer = Writer { codec, fields: Encoded::new() };
    value.serialize(writer).map_err(|error| error.named::<T>(ErrorKind::Encode))
}

/// In a build with debug assertions, checks that the type can read the entries that it wrote.
pub(super) fn verify<T: DeserializeOwned>(codec: &Codec, draft: &Draft) -> Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let listed = Cell::new(None);
    let read = T::deserialize(Reader { codec, draft, listed: &listed });
    match (read, listed.get()) {
        // If every field was skipped, reading yields the type's default.
        (Ok(_), _) | (_, Some((_, false))) => Ok(()),
        (Err(FieldsError { key, why }), _) => {
            Err(FieldsError { key, why: CodecError::unreadable(why) }.named::<T>(ErrorKind::Encode))
        }
    }
}

/// Why a struct can't be stored as entries, or can't be built from them.
#[derive(Debug)]
struct FieldsError {
    key: Option<&'static str>,
    why: CodecError,
}

impl FieldsError {
    fn field(key: &'static str, why: CodecError) -> Self {
        Self { key: Some(key), why }
    }

    fn whole(why: &'static str) -> Self {
        Self { key: None, why: CodecError::new(why) }
    }

    fn shape() -> Self {
        Self::whole("a typed session must be a struct with named fields and without `flatten`")
    }

    fn named<T>(self, kind: ErrorKind) -> Error {
        Error::typed(kind, std::any::type_name::<T>(), self.key).because(self.why)
    }
}

impl fmt::Display for FieldsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl std::error::Error for FieldsError {}

impl ser::Error for FieldsError {
    /// Drops the message, which is the application's and may contain a value.
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::whole("the type's `Serialize` implementation returned an error")
    }
}

impl de::Error for FieldsError {
    /// Drops the message for the same reason.
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::whole("the stored entries do not fit the type")
    }

    fn missing_field(key: &'static str) -> Self {
        Self::field(key, CodecError::new("the entry is missing, and the field has no default"))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::field(key, CodecError::new("several entries match this field, by its name or an alias"))
    }
}

/// Deserializes a struct from the entries that it names.
struct Reader<'a> {
    codec: &'a Codec,
    draft: &'a Draft,
    /// The keys that the struct has named, and whether any of them is stored.
    listed: &'a Cell<Option<(&'static [&'static str], bool)>>,
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = FieldsError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        let is_stored = keys.iter().any(|key| self.draft.get(key).is_some());
        self.listed.set(Some((keys, is_stored)));
        if !is_stored {
            return Err(FieldsError::whole("nothing is stored"));
        }
        visitor.visit_map(Fields { codec: self.codec, draft: self.draft, keys: keys.iter(), value: None })
    }

    /// Refuses everything else. A flattened struct requests a map and takes every entry, so its own can't be told
    /// apart.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        Err(FieldsError::shape())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields<'a> {
    codec: &'a Codec,
    draft: &'a Draft,
    keys: std::slice::Iter<'static, &'static str>,
    value: Option<(&'static str, &'a [u8])>,
}

impl<'a> MapAccess<'a> for Fields<'a> {
    type Error = FieldsError;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, FieldsError> {
        self.value = self.keys.find_map(|key| Some((*key, self.draft.get(key)?)));
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, FieldsError> {
        let (key, value) = self.value.take().ok_or_else(|| FieldsError::whole("a value was requested twice"))?;
        self.codec.decode_seed(seed, value).map_err(|why| FieldsError::field(key, why))
    }
}

/// Serializes a struct into its encoded fields.
struct Writer<'a> {
    codec: &'a Codec,
    fields: Encoded,
}

impl SerializeStruct for Writer<'_> {
    type Ok = Encoded;
    type Error = FieldsError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), FieldsError> {
        let bytes = self.codec.encode(value).map_err(|why| FieldsError::field(key, why))?;
        match self.fields.insert(key, bytes) {
            Some(_) => Err(FieldsError::field(key, CodecError::new("two fields have this name"))),
            None => Ok(()),
        }
    }

    fn end(self) -> Result<Encoded, FieldsError> {
        Ok(self.fields)
    }
}

/// Refuses everything that is not a struct.
macro_rules! refuse {
    ($($method:ident($($type:ty),*) -> $output:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$output, FieldsError> {
            Err(FieldsError::shape())
        }
    )*};
}

impl Serializer for Writer<'_> {
    type Ok = Encoded;
    type Error = FieldsError;
    type SerializeSeq = Impossible<Encoded, FieldsError>;
    type SerializeTuple = Impossible<Encoded, FieldsError>;
    type SerializeTupleStruct = Impossible<Encoded, FieldsError>;
    type SerializeTupleVariant = Impossible<Encoded, FieldsError>;
    type SerializeMap = Impossible<Encoded, FieldsError>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<Encoded, FieldsError>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, FieldsError> {
        Ok(self)
    }

    refuse! {
        serialize_bool(bool) -> Encoded;
        serialize_i8(i8) -> Encoded;
        serialize_i16(i16) -> Encoded;
        serialize_i32(i32) -> Encoded;
        serialize_i64(i64) -> Encoded;
        serialize_u8(u8) -> Encoded;
        serialize_u16(u16) -> Encoded;
        serialize_u32(u32) -> Encoded;
        serialize_u64(u64) -> Encoded;
        serialize_f32(f32) -> Encoded;
        serialize_f64(f64) -> Encoded;
        serialize_char(char) -> Encoded;
        serialize_str(&str) -> Encoded;
        serialize_bytes(&[u8]) -> Encoded;
        serialize_none() -> Encoded;
        serialize_unit() -> Encoded;
        serialize_unit_struct(&'static str) -> Encoded;
        serialize_unit_variant(&'static str, u32, &'static str) -> Encoded;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Encoded, FieldsError> {
        Err(FieldsError::shape())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Encoded, FieldsError> {
        Err(FieldsError::shape())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Encoded, FieldsError> {
        Err(FieldsError::shape())
    }
}
