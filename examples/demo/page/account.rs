//! Shows who is logged in.

use maud::{Markup, html};

use crate::shop::Cart;

pub(super) fn greeting(user: Option<&str>, cart: &Cart) -> Markup {
    html! {
        @match user {
            Some(user) => {
                p { "Signed in as " strong #user { (user) } }
                a href="/devices" { "Your devices" }
            }
            None => { p { "Nobody is signed in" } }
        }
        a href="/operator" { "Operator" }
        span.badge title="Pieces in the cart" { (cart.pieces()) " in the cart" }
    }
}

pub(super) fn panel(user: Option<&str>) -> Markup {
    html! {
        section.panel {
            h2 { "You" }
            @if let Some(user) = user {
                p { "You are " strong { (user) } ". Logging out ends the session at once, also for requests under way." }
                form method="post" action="/logout" { button.quiet { "Log out" } }
            }
            form.stack method="post" action="/login" {
                label { @if user.is_some() { "Log in as somebody else" } @else { "Log in as" }
                    input name="user" required maxlength="50" placeholder="Your name" autocomplete="username"; }
                label.check { input type="checkbox" name="remember" value="on"; "Remember me for 30 days" }
                button { "Log in" }
            }
        }
    }
}
