//! The shop: its goods, its session entries, its forms, and the list of a visitor's devices.
//!
//! The forms carry no CSRF token: the session's cookie is `SameSite=Lax`, and `origin` refuses requests from pages of
//! other sites.

mod cart;
mod catalogue;
mod device;
mod devices;
mod forms;
mod keys;

pub(crate) use self::{
    cart::{Cart, MAX_QTY},
    catalogue::{GOODS, good},
    devices::{Device, end_device, end_others, list_devices},
    forms::{add_to_cart, log_in, log_out},
    keys::{CART, USER, VISITS, is_own},
};
