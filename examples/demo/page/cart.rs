//! The cart.

use maud::{Markup, html};

use super::goods::price;
use crate::shop::{Cart, good};

pub(super) fn panel(cart: &Cart) -> Markup {
    let cents = |sku, qty: u32| good(sku).map(|good| good.cents * u64::from(qty));
    let total: u64 = cart.lines().iter().filter_map(|line| cents(&line.sku, line.qty)).sum();
    html! {
        section.panel {
            h2 { "Cart" }
            @if cart.lines().is_empty() {
                p.muted { "Nothing yet. The first thing that you put in makes your session." }
            } @else {
                table.cart {
                    @for line in cart.lines() {
                        tr {
                            td { (good(&line.sku).map_or(line.sku.as_str(), |good| good.name)) }
                            td.number { (line.qty) "\u{a0}×" }
                            td.number { @if let Some(cents) = cents(&line.sku, line.qty) { (price(cents)) } }
                        }
                    }
                    tr.total { td colspan="2" { "Total" } td.number { (price(total)) } }
                }
            }
        }
    }
}
