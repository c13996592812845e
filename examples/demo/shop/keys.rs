//! The entries that the shop keeps in a session.

use session_layer::{DEVICE, Key};

use super::Cart;

/// The logged-in user.
pub(crate) const USER: Key<String> = Key::new("user");
pub(crate) const CART: Key<Cart> = Key::new("cart");
/// How often the page was shown.
pub(crate) const VISITS: Key<u64> = Key::new("visits");

/// Whether an entry is the shop's own, which only its forms change.
pub(crate) fn is_own(key: &str) -> bool {
    [USER.name(), CART.name(), VISITS.name(), DEVICE.name()].contains(&key)
}
