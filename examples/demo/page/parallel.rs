//! The button that fires parallel requests at the visitor's own session.

use maud::{Markup, html};

pub(super) const SCRIPT: &str = include_str!("parallel.js");

pub(super) fn panel() -> Markup {
    html! {
        section.panel {
            h2 { "Nothing gets lost" }
            p {
                "50 requests in parallel, as many at a time as your browser sends (often six). Each loads your session, "
                "waits, and adds one to the same counter."
            }
            button #fire type="button" data-requests="50" { "Fire 50 requests" }
            progress #progress max="50" value="0" hidden {}
            p.outcome #outcome role="status" {}
            noscript { p.muted { "This button needs scripts; all else on this page works without." } }
        }
    }
}
