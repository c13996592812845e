//! The error of a request without an answer.

use std::{fmt, sync::Arc, time::Duration};

use crate::store::{StoreError, StoreErrorKind};

/// A request that was not answered, or was answered with an error.
#[derive(Debug, Clone)]
pub(in super::super) struct ClientError {
    pub(in super::super) reason: Reason,
    /// Whether (part of) the request may have reached the server.
    pub(in super::super) sent: bool,
    server: Arc<str>,
}

/// Why there was no answer.
#[derive(Debug, Clone)]
pub(in super::super) enum Reason {
    /// There is no connection, for this cause.
    Down(Arc<str>),
    /// The connection was lost, for this cause.
    Lost(Arc<str>),
    /// The time limit was reached.
    Overdue(Duration),
    /// The item is larger than the server accepts. It was not sent.
    TooLarge { bytes: usize, limit: usize },
    /// The store is closed.
    Closed,
}

impl ClientError {
    pub(in super::super) fn unsent(server: &Arc<str>, reason: Reason) -> Self {
        Self { reason, sent: false, server: Arc::clone(server) }
    }

    pub(in super::super) fn sent(server: &Arc<str>, reason: Reason) -> Self {
        Self { reason, sent: true, server: Arc::clone(server) }
    }

    /// The error of a request that changes nothing.
    pub(in super::super) fn of_read(self) -> StoreError {
        let kind = match self.reason {
            Reason::Overdue(_) => StoreErrorKind::Timeout,
            Reason::TooLarge { .. } => StoreErrorKind::TooLarge,
            Reason::Down(_) | Reason::Lost(_) | Reason::Closed => StoreErrorKind::Unavailable,
        };
        StoreError::new(kind).because(self)
    }

    /// The error of a request that changes something: if it was sent, the change may have happened.
    pub(in super::super) fn of_write(self) -> StoreError {
        if self.sent { StoreError::new(StoreErrorKind::OutcomeUnknown).because(self) } else { self.of_read() }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memcached {}: {}", self.server, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(cause) => write!(f, "not connected: {cause}"),
            Self::Lost(cause) => write!(f, "the connection was lost: {cause}"),
            Self::Overdue(limit) => write!(f, "no answer within {limit:?} (setting `request_timeout`)"),
            Self::TooLarge { bytes, limit } => write!(
                f,
                "the item would take {bytes} bytes, and the server takes {limit} (its option -I, or the setting \
                 `item_size_limit`)"
            ),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for ClientError {}
