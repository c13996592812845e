//! The page as a whole.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{account, cart, facts, goods, parallel, policy};
use crate::{
    error::Result,
    extract::Visitor,
    shop::{CART, Cart, USER, VISITS},
};

pub(super) const STYLE: &str = include_str!("shop.css");
pub(super) const SCRIPT: &str = include_str!("parallel.js");

/// `GET /`. It counts a visit if there is a session; a first-time visitor gets none.
pub(crate) async fn home(Visitor(session): Visitor) -> Result<impl IntoResponse> {
    if !session.is_new() {
        session.update(VISITS, |visits| *visits = visits.saturating_add(1))?;
    }
    let user = session.get(USER)?;
    let basket: Cart = session.get_or_default(CART)?;
    let page = page(html! {
        header {
            a.brand href="/" { span.leaf aria-hidden="true" {} "Second Flush" }
            (account::greeting(user.as_deref(), &basket))
        }
        main {
            div.column {
                (goods::shelf())
                (parallel::panel())
            }
            aside.column {
                (cart::panel(&basket))
                (account::panel(user.as_deref()))
                (facts::panel(&session)?)
            }
        }
        footer { p { "A demo of session-layer. Log in as anybody: it asks for no password, and sells no tea." } }
    });
    Ok((headers(), page))
}

fn page(body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Second Flush: tea, and a session" }
                // No request for an icon, which would end in the log as a 404.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_SECURITY_POLICY, policy::header()),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ]
}
