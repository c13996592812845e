//! Maps serde's messages to reasons that don't contain the value.
//!
//! A codec's messages contain pieces of the value, and those of a type's own code can contain all of it. They are only
//! matched here, never repeated: every reason is one of these constants.

pub(super) const OTHER_TYPE: &str = "a part of it is of another type";
pub(super) const OTHER_LENGTH: &str = "a list, tuple or variant has another number of parts";

const SKIPPED: &str = "it has a variant that is marked `#[serde(skip)]`";
const WIDE: &str = "a 128-bit integer can't be read behind `flatten`, `untagged` or an internal tag";

/// The beginnings of serde's messages when it can't serialise a value, with the reason for each.
const WRITES: [(&str, &str); 8] = [
    ("can only flatten structs and maps", "`#[serde(flatten)]` is on a field that is not a struct or map"),
    (
        "cannot serialize tagged newtype variant",
        "a variant of an internally tagged enum holds a value that is not a struct or map",
    ),
    ("path contains invalid UTF-8 characters", "a path is not UTF-8"),
    ("SystemTime must be later than UNIX_EPOCH", "a time is before 1970"),
    ("lock poison error", "a lock in it is poisoned"),
    ("already mutably borrowed", "a `RefCell` in it is mutably borrowed"),
    ("the enum variant", SKIPPED),
    ("enum variant cannot be serialized", SKIPPED),
];

/// The beginnings of serde's messages when it can't deserialise a value, with the reason for each.
const READS: [(&str, &str); 10] = [
    ("missing field", "a field is missing and has no default"),
    ("unknown field", "it has a field that the type does not know"),
    ("duplicate field", "a field is there twice"),
    ("unknown variant", "it has a variant that the type does not know"),
    ("data did not match any variant of untagged enum", "it is no variant of an untagged enum"),
    ("invalid type", OTHER_TYPE),
    ("invalid value", "a part of it has a value that its type does not take"),
    ("invalid length", OTHER_LENGTH),
    ("i128 is not supported", WIDE),
    ("u128 is not supported", WIDE),
];

/// Returns why a value could not be serialised.
pub(super) fn of_write(message: &str) -> &'static str {
    find(&WRITES, message).unwrap_or("the type's `Serialize` implementation returned an error")
}

/// Returns why a value could not be deserialised, if the message is serde's own.
pub(super) fn of_read(message: &str) -> Option<&'static str> {
    find(&READS, message)
}

fn find(known: &[(&str, &'static str)], message: &str) -> Option<&'static str> {
    known.iter().find(|(start, _)| message.starts_with(start)).map(|(_, reason)| *reason)
}
