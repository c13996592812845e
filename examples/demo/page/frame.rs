//! The frame of all pages.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::policy;

pub(super) const STYLE: &str = include_str!("shop.css");

/// Renders a page: its greeting, its content, and the scripts that it runs.
pub(super) fn page(title: &str, greeting: Markup, main: Markup, scripts: &[&str]) -> impl IntoResponse + use<> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Second Flush" }
                // Prevents a request for an icon, which would be logged as a 404.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" { span.leaf aria-hidden="true" {} "Second Flush" }
                    nav { (greeting) }
                }
                (main)
                footer {
                    p { "A demo of session-layer. Log in as anybody: it asks for no password, and sells no tea." }
                }
                @for script in scripts { script { (PreEscaped(script)) } }
            }
        }
    };
    (headers(scripts), page)
}

fn headers(scripts: &[&str]) -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_SECURITY_POLICY, policy::header(scripts)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ]
}
