//! A serializer that wraps a codec's own and refuses values that the codec could write but not read.
//!
//! `serde_json` writes a number that is not finite as `null`, and both codecs write values that are nested deeper than
//! their readers accept. The guard sees each value before the codec does. Its only state is the level, so a valid value
//! costs one comparison for each list, map and floating-point number.

use std::cell::Cell;

use serde::{
    Serialize, Serializer,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::CodecError;

/// The limits of a codec's reader, and the first violation found.
pub(super) struct Guard {
    levels: u16,
    finite: bool,
    refused: Cell<Option<Refusal>>,
}

#[derive(Clone, Copy)]
enum Refusal {
    NotFinite,
    TooDeep,
}

impl Guard {
    /// Accepts at most this many nested lists and maps.
    pub(super) fn new(levels: u16) -> Self {
        Self { levels, finite: false, refused: Cell::new(None) }
    }

    /// Also refuses numbers that are not finite.
    pub(super) fn finite(self) -> Self {
        Self { finite: true, ..self }
    }

    /// Wraps a value so that it is checked while it is serialized.
    pub(super) fn value<'a, T: ?Sized>(&'a self, value: &'a T) -> Guarded<'a, &'a T> {
        Guarded { inner: value, level: Level { left: self.levels, guard: self } }
    }

    /// Returns why the guard refused the value, if it did. The codec's own error does not say.
    pub(super) fn refusal(&self) -> Option<CodecError> {
        self.refused.get().map(|refusal| match refusal {
            Refusal::NotFinite => CodecError::new("a number is not finite, which JSON can't hold"),
            Refusal::TooDeep => CodecError::new(format!(
                "it has more than {} lists and maps within each other, which the codec can't read back",
                self.levels
            )),
        })
    }
}

/// The nesting level of the current part of the value.
#[derive(Clone, Copy)]
struct Level<'a> {
    left: u16,
    guard: &'a Guard,
}

impl Level<'_> {
    fn refuse<E: Error>(self, refusal: Refusal) -> E {
        self.guard.refused.set(Some(refusal));
        E::custom("refused")
    }

    /// Returns the level after entering this many more lists and maps.
    fn within<E: Error>(self, more: u16) -> Result<Self, E> {
        match self.left.checked_sub(more) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.refuse(Refusal::TooDeep)),
        }
    }

    fn number<E: Error>(self, is_finite: bool) -> Result<(), E> {
        if is_finite || !self.guard.finite { Ok(()) } else { Err(self.refuse(Refusal::NotFinite)) }
    }
}

/// A value, a serializer, or a part of one, with its nesting level.
pub(super) struct Guarded<'a, I> {
    inner: I,
    level: Level<'a>,
}

impl<'a, I> Guarded<'a, I> {
    fn value<'b, T: ?Sized>(&self, value: &'b T) -> Guarded<'a, &'b T> {
        Guarded { inner: value, level: self.level }
    }
}

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, &T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Guarded { inner: serializer, level: self.level })
    }
}

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method(self $(, $argument: $type)*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($argument),*)
        }
    )*};
}

/// Methods that open lists or maps, with the number of levels that each opens.
macro_rules! open {
    ($($method:ident($($argument:ident: $type:ty),*) -> $compound:ident, $levels:literal)*) => {$(
        fn $method(self $(, $argument: $type)*) -> Result<Self::$compound, S::Error> {
            let level = self.level.within($levels)?;
            Ok(Guarded { inner: self.inner.$method($($argument),*)?, level })
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Guarded<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guarded<'a, S::SerializeSeq>;
    type SerializeTuple = Guarded<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Guarded<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Guarded<'a, S::SerializeTupleVariant>;
    type SerializeMap = Guarded<'a, S::SerializeMap>;
    type SerializeStruct = Guarded<'a, S::SerializeStruct>;
    type SerializeStructVariant = Guarded<'a, S::SerializeStructVariant>;

    pass_on! {
        serialize_bool(value: bool)
        serialize_i8(value: i8) serialize_i16(value: i16) serialize_i32(value: i32) serialize_i64(value: i64)
        serialize_i128(value: i128)
        serialize_u8(value: u8) serialize_u16(value: u16) serialize_u32(value: u32) serialize_u64(value: u64)
        serialize_u128(value: u128)
        serialize_char(value: char) serialize_str(value: &str)
        serialize_none() serialize_unit()
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    open! {
        serialize_seq(len: Option<usize>) -> SerializeSeq, 1
        serialize_tuple(len: usize) -> SerializeTuple, 1
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct, 1
        serialize_map(len: Option<usize>) -> SerializeMap, 1
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct, 1
        // The variant's name is a key of a map, so there are two levels.
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeTupleVariant, 2
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeStructVariant, 2
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.level.number(value.is_finite())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.level.number(value.is_finite())?;
        self.inner.serialize_f64(value)
    }

    /// JSON writes bytes as a list of numbers.
    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.level.within(1)?;
        self.inner.serialize_bytes(value)
    }

    /// MessagePack writes a unit struct as an empty list.
    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.level.within(1)?;
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_some(&value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Guarded { inner: value, level: self.level.within(1)? };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! elements {
    ($($compound:ident: $method:ident)*) => {$(
        impl<C: $compound> $compound for Guarded<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let value = self.value(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl<C: $compound> $compound for Guarded<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), C::Error> {
                let value = self.value(value);
                self.inner.serialize_field(key, &value)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields!(SerializeStruct SerializeStructVariant);

impl<C: SerializeMap> SerializeMap for Guarded<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        let key = self.value(key);
        self.inner.serialize_key(&key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let value = self.value(value);
        self.inner.serialize_value(&value)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
