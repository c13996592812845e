//! The shop's home page, the same for every library.

use std::fmt::Write;

use crate::content::{Item, User};

pub fn page(user: &User, cart: &[Item], visits: u64) -> String {
    let mut html = String::with_capacity(4_096);
    html.push_str(HEAD);
    // Writing to a string can't fail.
    let _ = write!(html, "<p>Welcome back, {}. This is visit {visits}.</p><table>", user.name);
    for item in cart {
        let (whole, cents) = (item.cents / 100, item.cents % 100);
        let _ = write!(html, "<tr><td>{}<td>{}<td>{whole}.{cents:02}", item.sku, item.count);
    }
    let total: u64 = cart.iter().map(|item| u64::from(item.count) * item.cents).sum();
    let _ = write!(html, "</table><p>In all {}.{:02}</p>", total / 100, total % 100);
    html
}

const HEAD: &str = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>A shop</title>\
    <style>body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:40rem}td{padding:.2rem 1rem;border-top:1px solid}</style>\
    <h1>A shop</h1>";
