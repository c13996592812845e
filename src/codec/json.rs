//! JSON: reading it, and telling whether two values mean the same.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// How deep lists and maps are looked into: as deep as they are read.
const DEEPEST: usize = 128;

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
/// Numbers are compared as texts. Read, two large integers, or two neighbouring fractions, could be one `f64`.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    a.len() == b.len() && matches!((text(a), text(b)), (Some(a), Some(b)) if same_text(a, b, DEEPEST))
}

fn same_text(a: &str, b: &str, depth: usize) -> bool {
    if a == b {
        return true;
    }
    if a.len() != b.len() || depth == 0 {
        return false;
    }
    let same = |a: &RawValue, b: &RawValue| same_text(a.get(), b.get(), depth - 1);
    match (a.as_bytes(), b.as_bytes()) {
        ([b'{', ..], [b'{', ..]) => {
            let Some((Members(a), Members(b))) = both(a, b) else { return false };
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        ([b'[', ..], [b'[', ..]) => {
            let Some((a, b)) = both::<Vec<&RawValue>>(a, b) else { return false };
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

fn both<'a, T: Deserialize<'a>>(a: &'a str, b: &'a str) -> Option<(T, T)> {
    serde_json::from_str(a).ok().zip(serde_json::from_str(b).ok())
}

/// A map's members, sorted by name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Which of two members of one name counts is the reader's choice.
        if members.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(serde::de::Error::custom("a name is there twice"));
        }
        Ok(Members(members))
    }
}
