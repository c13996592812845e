//! The shop's home page.

use axum::response::IntoResponse;
use maud::html;

use super::{account, cart, facts, frame, goods, parallel};
use crate::{
    error::Result,
    extract::Visitor,
    shop::{CART, Cart, USER, VISITS},
};

/// `GET /`. It counts a visit if there is a session; a first-time visitor gets none.
pub(crate) async fn home(Visitor(session): Visitor) -> Result<impl IntoResponse> {
    if !session.is_new() {
        session.update(VISITS, |visits| *visits = visits.saturating_add(1))?;
    }
    let user = session.get(USER)?;
    let basket: Cart = session.get_or_default(CART)?;
    let greeting = account::greeting(user.as_deref(), &basket);
    let main = html! {
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
    };
    Ok(frame::page("Tea, and a session", greeting, main, &[parallel::SCRIPT]))
}
