use std::{collections::BTreeMap, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{tag::JSON, *};

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
        let mut bytes = serde_json::to_vec(value).map_err(|_| CodecError::new("it has no form in JSON"))?;
        bytes.reverse();
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError> {
        let forward: Vec<u8> = bytes.iter().rev().copied().collect();
        let mut json = serde_json::Deserializer::from_slice(&forward);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))?;
        json.end().map_err(|_| CodecError::new("something follows the value"))
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

/// Every type of serde's data model.
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
    assert_eq!(error.to_string(), "the JSON does not fit the type: a part of it is of another type (line 1, column 0)");
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

/// Writes nested lists without being nested itself, so no value is dropped level by level.
struct Lists(u32);

impl Serialize for Lists {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u8(0),
            n => serializer.collect_seq([Lists(n - 1)]),
        }
    }
}

/// Nests in the same number of levels as lists, and in each other form that a type can take.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Nest {
    End,
    List(Vec<Nest>),
    Pair(Box<Nest>, u8),
    Field { of: Box<Nest> },
    Newtype(Wrapped),
    Optional(Option<Box<Nest>>),
    Map(BTreeMap<u8, Nest>),
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Wrapped(Box<Nest>);

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Chain {
    next: Option<Box<Chain>>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(u8),
    List(Vec<Loose>),
    Field { of: Box<Loose> },
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    End,
    Field { of: Box<Tagged> },
}

fn deep<T>(levels: u16, end: T, wrap: impl Fn(T) -> T) -> T {
    (0..levels).fold(end, |value, _| wrap(value))
}

/// Writes the value with more and more levels. While it can be written it can be read, and beyond that it is refused
/// with a reason. Returns the most levels that were written.
fn deepest<T>(codec: &Codec, end: impl Fn() -> T, wrap: impl Fn(T) -> T + Copy) -> u16
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let mut levels = 0;
    loop {
        let value = deep(levels, end(), wrap);
        match codec.encode(&value) {
            Ok(bytes) => assert!(codec.decode::<T>(&bytes).unwrap() == value, "{codec:?} at {levels}"),
            Err(error) => {
                assert!(error.to_string().contains("lists and maps within each other"), "{error}");
                return levels - 1;
            }
        }
        levels += 1;
    }
}

/// Checks the limit for every form of level.
fn every_form(codec: &Codec, most: u16) {
    type Wrap = fn(Nest) -> Nest;
    let list: Wrap = |value| Nest::List(vec![value]);
    let pair: Wrap = |value| Nest::Pair(Box::new(value), 1);
    let field: Wrap = |value| Nest::Field { of: Box::new(value) };
    let newtype: Wrap = |value| Nest::Newtype(Wrapped(Box::new(value)));
    let optional: Wrap = |value| Nest::Optional(Some(Box::new(value)));
    let map: Wrap = |value| Nest::Map([(1, value)].into());
    // A variant with a list, a tuple, fields or a map has two levels, one with a single value has one.
    for (wrap, each) in [(list, 2), (pair, 2), (field, 2), (map, 2), (newtype, 1), (optional, 1)] {
        assert_eq!(deepest(codec, || Nest::End, wrap), most / each, "{codec:?}");
    }
    let chain = |next| Chain { next: Some(Box::new(next)) };
    assert_eq!(deepest(codec, || Chain { next: None }, chain), most - 1, "{codec:?}");
    assert_eq!(deepest(codec, || Loose::Number(1), |value| Loose::List(vec![value])), most, "{codec:?}");
    assert_eq!(deepest(codec, || Loose::Number(1), |of| Loose::Field { of: Box::new(of) }), most, "{codec:?}");
    assert_eq!(deepest(codec, || Tagged::End, |of| Tagged::Field { of: Box::new(of) }), most - 1, "{codec:?}");
}

#[test]
fn json_writes_as_many_levels_as_it_reads() {
    every_form(&Codec::Json, json::LEVELS);
    let bytes = Codec::Json.encode(&Lists(127)).unwrap();
    assert!(Codec::Json.decode::<serde_json::Value>(&bytes).is_ok());
    let deeper = [b"\x01[".as_slice(), &bytes[1..], b"]"].concat();
    let error = Codec::Json.decode::<serde_json::Value>(&deeper).unwrap_err();
    assert_eq!(error.to_string(), "the JSON is nested too deep (line 1, column 128)", "the reader's limit");
}

#[cfg(feature = "messagepack")]
#[test]
fn message_pack_writes_no_more_levels_than_it_reads() {
    every_form(&Codec::MessagePack, message_pack::LEVELS);
    let bytes = Codec::MessagePack.encode(&Lists(255)).unwrap();
    assert!(Codec::MessagePack.decode::<serde_json::Value>(&bytes).is_ok());
}

#[test]
fn a_value_of_any_depth_is_refused_before_the_stack_overflows() {
    for codec in [
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
    ] {
        let error = codec.encode(&Lists(u32::MAX)).unwrap_err();
        assert!(error.to_string().contains("lists and maps within each other"), "{error}");
    }
}

/// Bits from a fixed sequence (the constants are Knuth's).
fn random_bits() -> impl Iterator<Item = u64> {
    let step = |bits: &u64| Some(bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(0x9e37_79b9_7f4a_7c15), step).map(|bits| bits ^ bits >> 29)
}

#[test]
fn finite_numbers_come_back_bit_by_bit() {
    let one_to_two = |bits: u64| f64::from_bits(bits >> 12 | 0x3ff0_0000_0000_0000);
    let edges =
        [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN, f64::EPSILON, 0.1, 1e23, 9_007_199_254_740_993.0];
    let doubles: Vec<f64> = random_bits()
        .take(20_000)
        .flat_map(|bits| [f64::from_bits(bits), one_to_two(bits) - 1.0, one_to_two(bits) * 1e-7])
        .chain(edges)
        .filter(|number| number.is_finite())
        .collect();
    let singles: Vec<f32> = random_bits()
        .take(20_000)
        .flat_map(|bits| [f32::from_bits(bits as u32), one_to_two(bits) as f32 - 1.0])
        .chain([0.0, -0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::MIN, f32::EPSILON, 0.1])
        .filter(|number| number.is_finite())
        .collect();
    for codec in codecs() {
        let back: Vec<f64> = codec.decode(&codec.encode(&doubles).unwrap()).unwrap();
        assert!(back.iter().zip(&doubles).all(|(a, b)| a.to_bits() == b.to_bits()), "{codec:?}");
        let seeded = codec.decode_seed(PhantomData::<Vec<f64>>, &codec.encode(&doubles).unwrap()).unwrap();
        assert!(seeded.iter().zip(&doubles).all(|(a, b)| a.to_bits() == b.to_bits()), "{codec:?}");
        let back: Vec<f32> = codec.decode(&codec.encode(&singles).unwrap()).unwrap();
        assert!(back.iter().zip(&singles).all(|(a, b)| a.to_bits() == b.to_bits()), "{codec:?}");
        for number in &doubles[..3_000] {
            let back: f64 = codec.decode(&codec.encode(number).unwrap()).unwrap();
            assert_eq!(back.to_bits(), number.to_bits(), "{codec:?} {number:?}");
        }
    }
}

#[derive(serde::Serialize)]
struct Flat {
    #[serde(flatten)]
    rest: BTreeMap<String, f64>,
}

#[derive(serde::Serialize)]
#[serde(tag = "kind")]
enum Measured {
    Length { metres: f32 },
}

#[test]
fn json_refuses_numbers_that_are_not_finite_wherever_they_are() {
    fn refused(value: &impl Serialize) {
        let error = Codec::Json.encode(value).unwrap_err();
        assert_eq!(error.to_string(), "a number is not finite, which JSON can't hold");
        let erased: &dyn erased_serde::Serialize = &value;
        assert_eq!(Codec::Json.encode(erased).unwrap_err(), error);
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(&number);
        refused(&(number as f32));
        refused(&Some(number));
        refused(&vec![Some(1.0), None, Some(number)]);
        refused(&(1, ((), Some(Box::new(number)))));
        refused(&Flat { rest: [("x".into(), number)].into() });
        refused(&Measured::Length { metres: number as f32 });
        refused(&BTreeMap::from([("x", [number])]));
        refused(&BTreeMap::from([(number.to_bits(), number)]));
    }
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct KeyOf(u64);
    impl Serialize for KeyOf {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_f64(f64::from_bits(self.0))
        }
    }
    refused(&BTreeMap::from([(KeyOf(f64::NAN.to_bits()), 1)]));
    assert!(Codec::Json.encode(&(None::<f64>, (), f64::MAX, f32::MIN)).is_ok(), "`null` is no such number");
}

#[cfg(feature = "messagepack")]
#[test]
fn message_pack_keeps_numbers_that_are_not_finite() {
    let codec = Codec::MessagePack;
    for bits in [f64::NAN.to_bits(), f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits(), 0x7ff8_0000_0000_1234] {
        let back: f64 = codec.decode(&codec.encode(&f64::from_bits(bits)).unwrap()).unwrap();
        assert_eq!(back.to_bits(), bits);
    }
}

/// A type that fails with its value in the message.
struct Secret(&'static str);

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(format!("{} is no good", self.0)))
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: String = serde::Deserialize::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("{text} is no good")))
    }
}

#[test]
fn a_refused_write_gives_the_true_reason_and_never_the_value() {
    use std::{cell::RefCell, collections::HashMap, time::SystemTime};

    #[derive(serde::Serialize)]
    struct Flattened {
        #[serde(flatten)]
        list: Vec<&'static str>,
    }
    #[derive(serde::Serialize)]
    #[serde(tag = "kind")]
    enum Tag {
        List(Vec<&'static str>),
    }
    #[derive(serde::Serialize)]
    enum Skips {
        #[serde(skip)]
        Hidden(#[allow(dead_code, reason = "it is never serialised")] &'static str),
    }
    fn reason(codec: &Codec, value: &impl Serialize) -> String {
        let error = codec.encode(value).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        error.to_string()
    }
    let borrowed = RefCell::new("hunter2");
    let guard = borrowed.borrow_mut();
    for codec in [
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
    ] {
        let own = "the type's `Serialize` implementation returned an error";
        assert_eq!(reason(&codec, &Secret("hunter2")), own, "{codec:?}");
        assert_eq!(reason(&codec, &vec![Secret("cannot serialize hunter2")]), own, "{codec:?}");
        let flatten = "`#[serde(flatten)]` is on a field that is not a struct or map";
        assert_eq!(reason(&codec, &Flattened { list: vec!["hunter2"] }), flatten, "{codec:?}");
        let tagged = "a variant of an internally tagged enum holds a value that is not a struct or map";
        assert_eq!(reason(&codec, &Tag::List(vec!["hunter2"])), tagged, "{codec:?}");
        let skipped = "it has a variant that is marked `#[serde(skip)]`";
        assert_eq!(reason(&codec, &Skips::Hidden("hunter2")), skipped, "{codec:?}");
        #[cfg(unix)]
        {
            let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"hunter2\xff");
            assert_eq!(reason(&codec, &std::path::Path::new(path)), "a path is not UTF-8", "{codec:?}");
        }
        let early = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
        assert_eq!(reason(&codec, &early), "a time is before 1970", "{codec:?}");
        assert_eq!(reason(&codec, &borrowed), "a `RefCell` in it is mutably borrowed", "{codec:?}");
    }
    drop(guard);
    let key = "a map has a key that is not a string, number or bool; in JSON, an object's key must be a string";
    assert_eq!(reason(&Codec::Json, &HashMap::from([((1_u8, 2_u8), "hunter2")])), key);
    assert_eq!(reason(&Codec::Json, &HashMap::from([(Some(()), "hunter2")])), key);
    assert_eq!(reason(&Codec::Json, &HashMap::from([(vec!["hunter2"], 1)])), key);
}

#[test]
fn a_refused_read_gives_the_true_reason_and_never_the_value() {
    use std::collections::HashMap;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Narrow {
        a: u8,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "only read")]
    enum Loose {
        Number(u8),
    }
    fn reason<T: DeserializeOwned>(codec: &Codec, value: &impl Serialize) -> String {
        let error = codec.decode::<T>(&codec.encode(value).unwrap()).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        let text = error.to_string();
        text.split(" (line").next().unwrap().replace("JSON", "X").replace("MessagePack", "X")
    }
    for codec in [
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
    ] {
        let no = |why: &str| format!("the X does not fit the type: {why}");
        assert_eq!(reason::<u8>(&codec, &"hunter2"), no(reason::OTHER_TYPE), "{codec:?}");
        assert_eq!(reason::<Narrow>(&codec, &HashMap::<u8, u8>::new()), no("a field is missing and has no default"));
        let unknown = HashMap::from([("hunter2", 1)]);
        assert_eq!(reason::<Narrow>(&codec, &unknown), no("it has a field that the type does not know"), "{codec:?}");
        assert_eq!(reason::<Variant>(&codec, &"hunter2"), no("it has a variant that the type does not know"));
        assert_eq!(reason::<(u8, u8)>(&codec, &[1]), no(reason::OTHER_LENGTH), "{codec:?}");
        assert!(reason::<[u8; 1]>(&codec, &[1, 2]).contains("the X does not fit the type"), "{codec:?}");
        assert_eq!(reason::<Loose>(&codec, &"hunter2"), no("it is no variant of an untagged enum"), "{codec:?}");
        assert_eq!(reason::<char>(&codec, &"hunter2"), no("a part of it has a value that its type does not take"));
        assert_eq!(reason::<Secret>(&codec, &"hunter2"), "the X does not fit the type", "{codec:?}");
        assert!(reason::<Variant>(&codec, &4711).contains("does not fit the type"), "{codec:?}: an enum");
        assert!(reason::<u8>(&codec, &4711).contains("does not fit the type"), "{codec:?}: too large");
    }
    for (text, why) in [
        ("[1, 2", "the JSON ends early (line 1, column 5)"),
        ("hunter2", "it is not JSON (line 1, column 1)"),
        ("1 2", "it is not JSON (line 1, column 3)"),
    ] {
        let error = Codec::Json.decode::<serde_json::Value>(&[&[JSON], text.as_bytes()].concat()).unwrap_err();
        assert_eq!(error.to_string(), why, "{text}");
    }
}

#[test]
fn a_type_that_reads_less_than_it_writes_is_found() {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "serde::Deserialize::deserialize")]
        note: Option<u8>,
    }
    for codec in codecs() {
        let verify = |note| codec.verify::<Skips>(&codec.encode(&Skips { note }).unwrap());
        assert!(verify(Some(1)).is_ok(), "{codec:?}");
        let error = verify(None).unwrap_err().to_string();
        assert!(error.starts_with("the type can't read what it wrote: "), "{error}");
        assert!(error.ends_with("; see `Session::insert`"), "{error}");
        // A value that comes back in another order, or as an equal value of another form, is accepted.
        let map: std::collections::HashMap<u8, u8> = (0..50).map(|n| (n, n)).collect();
        assert!(codec.verify::<std::collections::HashMap<u8, u8>>(&codec.encode(&map).unwrap()).is_ok());
        assert!(codec.verify::<Option<()>>(&codec.encode(&Some(())).unwrap()).is_ok());
    }
}
