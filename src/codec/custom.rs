//! The trait of an application's own codec.

use super::CodecError;

/// An application's own encoding.
///
/// ```
/// use session_layer::codec::{CodecError, CustomCodec, Visit};
/// use session_layer::erased_serde::{Deserializer, Serialize};
///
/// /// JSON under its own tag, to keep the example short.
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
    /// The byte that names this codec in stored values: 128 to 255. It must never change.
    fn tag(&self) -> u8;

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// If the encoding can't express the value, or the value could not be decoded again. Otherwise the stored value
    /// would fail at every read. The message must not contain the value.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError>;

    /// Decodes `bytes` by passing a deserializer over them to `visit`, once.
    ///
    /// # Errors
    ///
    /// The errors of `visit`, and an error if bytes follow the value. The message must not contain the value.
    fn decode(&self, bytes: &[u8], visit: Visit<'_>) -> Result<(), CodecError>;
}

/// The callback that receives the deserializer of [`CustomCodec::decode`].
pub type Visit<'a> = &'a mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), CodecError>;
