//! - `behaviour`: what the cache serves. `interleavings`: the same under shuttle, in all orders.
//! - `store`: the store behind it. `sample`: records, ids and times.

mod behaviour;
#[cfg(session_layer_shuttle)]
mod interleavings;
mod sample;
mod store;
