//! Handles the pages' forms.

use axum::{extract::State, http::HeaderMap, response::Redirect};
use serde::Deserialize;
use session_layer::{LazySession, Lifetime};

use super::{CART, Cart, MAX_QTY, USER, device};
use crate::{
    app::Lifetimes,
    error::{Error, Result},
    extract::{Delay, Form, Query, Visitor},
};

/// The longest user name, in bytes.
const MAX_USER: usize = 200;
/// The longest name of an item, in bytes.
const MAX_SKU: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Login {
    user: String,
    #[serde(default)]
    remember: String,
}

#[derive(Deserialize)]
pub(crate) struct Addition {
    sku: String,
    qty: u32,
}

/// `POST /login`. A real shop would ask for a password here.
pub(crate) async fn log_in(
    State(lifetimes): State<Lifetimes>,
    headers: HeaderMap,
    Visitor(session): Visitor,
    Form(login): Form<Login>,
) -> Result<Redirect> {
    let user = text("user", &login.user, MAX_USER)?;
    session.login(user)?;
    // Set in both cases, since the previous session may have been a remembered one.
    session.set_lifetime(lifetime(lifetimes, login.remember == "on"))?;
    session.insert(USER, user)?;
    device::record(&session, &headers)?;
    Ok(Redirect::to("/"))
}

/// Handles `POST /logout`. With `delay_ms` the answer is delayed: a client that disconnects in the
/// meantime is still logged out.
///
/// Uses the lazy session, so that it works if the session can't be opened, and for a visitor with two live cookies.
pub(crate) async fn log_out(Query(delay): Query<Delay>, session: LazySession) -> Result<Redirect> {
    session.destroy().await?;
    delay.wait().await;
    Ok(Redirect::to("/"))
}

/// `POST /cart`.
pub(crate) async fn add_to_cart(Visitor(session): Visitor, Form(addition): Form<Addition>) -> Result<Redirect> {
    let sku = text("sku", &addition.sku, MAX_SKU)?.to_owned();
    let qty = addition.qty;
    if !(1..=MAX_QTY).contains(&qty) {
        return Err(Error::invalid(format!("qty is 1 to {MAX_QTY}")));
    }
    session.update(CART, move |cart: &mut Cart| cart.add(&sku, qty))?;
    Ok(Redirect::to("/"))
}

fn lifetime(lifetimes: Lifetimes, remember: bool) -> Lifetime {
    if remember { lifetimes.remembered } else { lifetimes.usual }
}

/// Trims a field's text and checks its length.
fn text<'a>(field: &str, given: &'a str, most: usize) -> Result<&'a str> {
    let text = given.trim();
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{field} has 1 to {most} bytes, and no control characters")));
    }
    Ok(text)
}
