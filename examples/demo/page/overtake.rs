//! The button that logs the visitor out while a write is under way.

use maud::{Markup, html};

pub(super) const SCRIPT: &str = include_str!("overtake.js");

pub(super) fn panel() -> Markup {
    html! {
        section.panel {
            h2 { "What has ended stays ended" }
            p {
                "A slow write loads your session. You are logged out before it is done: what it still saves is blocked, "
                "and brings nothing back."
            }
            button.quiet #overtake type="button" { "Write, and log out meanwhile" }
            p.outcome #overtaken role="status" {}
        }
    }
}
