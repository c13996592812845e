//! The settings of a layer.
//!
//! - `layer_builder`: [`SessionLayerBuilder`] and most of its settings.
//! - `exclusive`, `sessions_per_owner`, `signed`: settings that need a chapter of their own.
//! - `given_times`, `signing`: settings that are checked when the layer is built.
//! - `build`: the checks, and the layer.

mod build;
mod exclusive;
mod given_times;
mod layer_builder;
mod sessions_per_owner;
#[cfg(feature = "encryption")]
mod signed;
mod signing;

pub use self::layer_builder::SessionLayerBuilder;
