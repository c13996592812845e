//! The page of a visitor's devices.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use session_layer::Sessions;

use super::{account, agent, facts::moment, frame};
use crate::{
    error::Result,
    extract::{Id, Visitor},
    shop::{self, CART, Cart, Device, USER},
};

/// `GET /devices`. Without a login it shows the login form.
pub(crate) async fn devices(State(sessions): State<Sessions>, Visitor(session): Visitor) -> Result<Response> {
    let (user, basket): (_, Cart) = (session.get(USER)?, session.get_or_default(CART)?);
    let greeting = account::greeting(user.as_deref(), &basket);
    if session.owner().is_none() {
        let page = frame::page("Your devices", greeting, login(), &[]);
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    let devices = shop::list_devices(&sessions, &session).await?;
    Ok(frame::page("Your devices", greeting, list(&devices)?, &[]).into_response())
}

/// `POST /devices/{id}/end`. Then it shows the page again, also if the session had already ended.
pub(crate) async fn end_device(
    State(sessions): State<Sessions>,
    Visitor(session): Visitor,
    Id(id): Id,
) -> Result<Redirect> {
    back(shop::end_device(&sessions, &session, id).await)
}

/// `POST /devices/end-others`.
pub(crate) async fn end_others(State(sessions): State<Sessions>, Visitor(session): Visitor) -> Result<Redirect> {
    back(shop::end_others(&sessions, &session).await)
}

fn back(outcome: Result<()>) -> Result<Redirect> {
    match outcome {
        Err(error) if ![StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&error.status()) => Err(error),
        _ => Ok(Redirect::to("/devices")),
    }
}

fn login() -> Markup {
    html! {
        main.narrow {
            section.intro {
                h1 { "Your devices" }
                p.lead { "Nobody is signed in here, or no longer: log in to see where else you are." }
            }
            div.login { (account::panel(None)) }
        }
    }
}

fn list(devices: &[Device]) -> Result<Markup> {
    let others = devices.iter().filter(|device| !device.current).count();
    Ok(html! {
        main.narrow {
            section.intro {
                h1 { "Your devices" }
                p.lead {
                    "Everywhere you are logged in. What you end here is logged out at once, also where a request is "
                    "under way."
                }
            }
            ul.devices {
                @for device in devices { li.panel.device data-session=(device.id) { (row(device)?) } }
            }
            @if others > 0 {
                form.others method="post" action="/devices/end-others" {
                    button.danger #end-others { "End all others" }
                    span.muted {
                        @if others == 1 { "One other device" } @else { (others) " other devices" } " will have to log in again."
                    }
                }
            } @else {
                p.muted { "You are logged in nowhere else. Try it: open this page in another browser, and log in under the same name." }
            }
        }
    })
}

fn row(device: &Device) -> Result<Markup> {
    let agent = device.device.as_deref();
    Ok(html! {
        div.what {
            h2 {
                (agent.map_or_else(|| "An unknown device".to_owned(), agent::name))
                @if device.current { span.badge.here { "This device" } }
            }
            @if let Some(agent) = agent { p.agent.muted { (agent) } }
            dl {
                dt { "Logged in" } dd { (moment(device.created_at)?) }
                dt { "Last used" } dd { (moment(device.last_used_at)?) }
                dt { "Session" } dd { code { (device.id) } }
            }
        }
        form method="post" action={ "/devices/" (device.id) "/end" } {
            @if device.current { button.quiet { "Log out" } } @else { button.danger { "End" } }
        }
    })
}
