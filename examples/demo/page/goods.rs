//! The goods for sale.

use maud::{Markup, html};

use crate::shop::{GOODS, MAX_QTY};

pub(super) fn shelf() -> Markup {
    html! {
        section.shelf {
            h1 { "Tea, by the hundred grams" }
            p.lead { "Put something into the cart, open a second window, log in there and out here. Nothing gets lost, and what has ended stays ended." }
            ul.goods {
                @for good in GOODS {
                    li.good {
                        // An attribute, since the page's policy allows no style on an element.
                        svg viewBox="0 0 48 48" aria-hidden="true" {
                            path fill=(good.colour) d="M6 42C4 20 18 6 42 6c0 24-14 38-31 34L24 24 8 43z" {}
                        }
                        h3 { (good.name) }
                        p.muted { (good.about) }
                        p.price { (price(good.cents)) }
                        form method="post" action="/cart" {
                            input type="hidden" name="sku" value=(good.sku);
                            input.qty type="number" name="qty" value="1" min="1" max=(MAX_QTY)
                                aria-label={ "How much " (good.name) };
                            button { "Add" }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn price(cents: u64) -> String {
    format!("€ {}.{:02}", cents / 100, cents % 100)
}
