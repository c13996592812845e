//! The shop: what it sells, what it keeps of a visitor, its forms, and where a visitor is logged in.
//!
//! The forms carry no CSRF token. The session's cookie is `SameSite=Lax`, so a form on another *site* posts without it
//! and changes nothing of the visitor's. That does not cover other hosts of the same site, nor a login that another site
//! starts to make somebody shop under the attacker's name: where these matter, check `Sec-Fetch-Site` or `Origin` as
//! well (`tower_http::csrf`).

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
