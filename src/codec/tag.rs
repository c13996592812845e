//! The byte that names a value's codec.

/// [`Codec::Json`](super::Codec::Json).
pub(super) const JSON: u8 = 1;

/// `Codec::MessagePack`.
pub(super) const MESSAGE_PACK: u8 = 2;

/// The first tag of a [`CustomCodec`](super::CustomCodec).
pub(super) const FIRST_CUSTOM: u8 = 128;
