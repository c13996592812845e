//! What the shop records about the device of a login.

use axum::http::{HeaderMap, header::USER_AGENT};
use session_layer::{DEVICE, Session};

use crate::error::Result;

/// The longest description, in bytes. It is limited because the client chooses its text.
const MAX_DEVICE: usize = 200;

/// Records the client's `User-Agent` for the owner's list of devices.
pub(super) fn record(session: &Session, headers: &HeaderMap) -> Result<()> {
    match described(headers) {
        Some(device) => session.insert(DEVICE, &device)?,
        // A login keeps its owner's entries, and the entry may come from another client.
        None => drop(session.remove(DEVICE.name())?),
    }
    Ok(())
}

fn described(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let text: String = text.chars().filter(|char| !char.is_control()).collect();
    let text = text.trim();
    let text = &text[..text.floor_char_boundary(MAX_DEVICE)];
    (!text.is_empty()).then(|| text.to_owned())
}
