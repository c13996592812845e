//! Deserializers that lend nothing from their input, so that the input may have a shorter lifetime than the seed
//! requires.
//!
//! A seed requires a deserializer of one specific lifetime. A [`CustomCodec`] passes one with its own lifetime, since
//! it may decode into a buffer first. Strings and bytes are therefore passed on as transient, which every owned type
//! accepts.
//!
//! [`CustomCodec`]: super::CustomCodec

use std::{fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// The source: a deserializer, or a part of one, over an input of the lifetime `'input`.
pub(super) struct Unborrowed<'input, D>(D, PhantomData<fn(&'input ())>);

impl<D> Unborrowed<'_, D> {
    pub(super) fn new(inner: D) -> Self {
        Self(inner, PhantomData)
    }
}

/// The receiver: a visitor or a seed that requires the lifetime `'de`.
struct Taker<'de, V>(V, PhantomData<fn(&'de ())>);

impl<V> Taker<'_, V> {
    fn new(inner: V) -> Self {
        Self(inner, PhantomData)
    }
}

macro_rules! deserialize {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Taker::new(visitor))
        }
    )*};
}

impl<'de, 'input, D: Deserializer<'input>> Deserializer<'de> for Unborrowed<'input, D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

/// Doesn't implement the two methods for borrowed values: their defaults pass the values on as transient.
impl<'de, 'input, V: Visitor<'de>> Visitor<'input> for Taker<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_char(char)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_f32(f32) visit_f64(f64)
        visit_str(&str) visit_string(String) visit_bytes(&[u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'input>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Unborrowed::new(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'input>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Unborrowed::new(inner))
    }

    fn visit_seq<A: SeqAccess<'input>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Unborrowed::new(access))
    }

    fn visit_map<A: MapAccess<'input>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Unborrowed::new(access))
    }

    fn visit_enum<A: EnumAccess<'input>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Unborrowed::new(access))
    }
}

impl<'de, 'input, S: DeserializeSeed<'de>> DeserializeSeed<'input> for Taker<'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'input>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Unborrowed::new(inner))
    }
}

impl<'de, 'input, A: SeqAccess<'input>> SeqAccess<'de> for Unborrowed<'input, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Taker::new(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, 'input, A: MapAccess<'input>> MapAccess<'de> for Unborrowed<'input, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Taker::new(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Taker::new(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, 'input, A: EnumAccess<'input>> EnumAccess<'de> for Unborrowed<'input, A> {
    type Error = A::Error;
    type Variant = Unborrowed<'input, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Taker::new(seed))?;
        Ok((value, Unborrowed::new(variant)))
    }
}

impl<'de, 'input, A: VariantAccess<'input>> VariantAccess<'de> for Unborrowed<'input, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Taker::new(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Taker::new(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Taker::new(visitor))
    }
}
