//! Shows the session's properties.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use session_layer::{CookieLifetime, Session};

use crate::{error::Result, instant, shop::VISITS};

pub(super) fn panel(session: &Session) -> Result<Markup> {
    let visits = session.get_or_default(VISITS)?;
    let lifetime = session.lifetime();
    let kept = match lifetime.cookie() {
        CookieLifetime::Browser => "until the browser is closed",
        CookieLifetime::Persistent => "until the end of the session",
    };
    Ok(html! {
        section.panel {
            h2 { "Your session" }
            dl {
                @match session.id() {
                    None => { dt { "State" } dd { "none yet: looking around stores nothing, and sets no cookie" } }
                    Some(id) => { dt { "Id" } dd { code { (id) } } }
                }
                dt { "Visits" } dd { (visits) }
                @for (name, time) in [
                    ("Created", session.created_at()),
                    ("Last used", session.last_used_at()),
                    ("Expires", session.expires_at()),
                ] {
                    @if let Some(time) = time { dt { (name) } dd { (moment(time)?) } }
                }
                dt { "Limits" }
                dd { (length(lifetime.idle())) " without use, " (length(lifetime.absolute())) " in all" }
                dt { "Cookie" } dd { "kept " (kept) }
                @if !session.is_empty() {
                    dt { "Entries" }
                    dd { @for key in session.keys() { code { (key) } " " } }
                }
            }
            p.muted { "The id is the store's key. It is made from the cookie's token, and no way leads back." }
        }
    })
}

/// Shows the time of day to people, and the full time to machines.
pub(super) fn moment(time: SystemTime) -> Result<Markup> {
    let text = instant::rfc3339(time)?;
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let clock = clock.get(..8).unwrap_or(clock);
    Ok(html! { time datetime=(text) title=(text) { (day) " " (clock) " UTC" } })
}

fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, of) in [("day", 86_400), ("hour", 3_600), ("minute", 60)] {
        if seconds >= of && seconds.is_multiple_of(of) {
            let number = seconds / of;
            return format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}
