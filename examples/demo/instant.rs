//! Instants as text.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::error::{Error, Result};

/// Formats an instant as in RFC 3339, with milliseconds, in UTC.
pub(crate) fn rfc3339(instant: SystemTime) -> Result<String> {
    // A record's time is data: one beyond the year 9999 is an error, not a panic.
    let since = instant.duration_since(UNIX_EPOCH).map_err(|_| Error::inside())?;
    let nanos = i128::try_from(since.as_millis()).map_err(|_| Error::inside())?.saturating_mul(1_000_000);
    let instant = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| Error::inside())?;
    instant.format(&Rfc3339).map_err(|_| Error::inside())
}
