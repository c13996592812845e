//! Encoding of an entry's value: JSON, MessagePack, or the application's own.
//!
//! - [`Codec`]: the codec of a layer. [`CustomCodec`]: an application's own.
//! - [`CodecError`]: why a value could not be encoded or decoded.
//! - `tag`: the bytes that name the codecs in stored values.
//! - `json`, `message_pack`: the built-in codecs.
//! - `guard`: refuses values that could not be read back. `reason`: the messages about them.
//! - `unborrowed`: deserializers that lend nothing, for custom codecs.

#[expect(clippy::module_inception, reason = "the file has the type `Codec`")]
mod codec;
mod custom;
mod error;
mod guard;
mod json;
#[cfg(feature = "messagepack")]
mod message_pack;
mod reason;
mod tag;
#[cfg(test)]
mod tests;
mod unborrowed;

pub use self::{
    codec::Codec,
    custom::{CustomCodec, Visit},
    error::CodecError,
};
