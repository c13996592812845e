//! Errors of requests: not sent, refused, or not answered.

use std::{fmt, sync::Arc, time::Duration};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::{StoreError, StoreErrorKind};

/// A request that was not carried out, or may not have been.
#[derive(Debug, Clone)]
pub(in super::super) enum LinkError {
    /// The server answered that it did not carry out the request. Nothing has changed.
    Refused(Refusal),
    /// The request was not sent. Nothing has changed.
    NotSent(Cause),
    /// The request was sent, but not answered. It may have been carried out, or may still be.
    Unanswered(Cause),
    /// The primary carried out the request, but too few replicas confirmed it in time. A failover may undo it.
    NotReplicated { confirmed: usize, wanted: usize },
}

/// The server's answer that it did not carry out a request.
#[derive(Debug, Clone)]
pub(in super::super) struct Refusal {
    pub(in super::super) kind: RefusalKind,
    /// The server's error message.
    said: Arc<str>,
    /// The node that has the keys, if the server named one.
    pub(super) redirect: Option<Redirect>,
}

/// A node's answer that another node has the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    /// `ASK`: for this request only, while the slot is being moved. Otherwise `MOVED`.
    pub(super) ask: bool,
    /// `host:port`.
    pub(super) node: Arc<str>,
}

impl Redirect {
    fn of(error: &RedisError) -> Option<Self> {
        let (node, _slot) = error.redirect_node()?;
        Some(Self { ask: error.kind() == ErrorKind::Server(ServerErrorKind::Ask), node: node.into() })
    }
}

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum RefusalKind {
    /// `OOM`: `maxmemory` is reached, and nothing may be evicted.
    OutOfMemory,
    /// `READONLY`: the server is a replica, perhaps since a failover.
    ReadOnly,
    /// `NOREPLICAS`: fewer replicas than `min-replicas-to-write`.
    TooFewReplicas,
    /// `MISCONF`: the server can't save to its disk, and accepts no writes until it can.
    CannotSave,
    /// `NOPERM`: the user may not use this command or key.
    NotPermitted,
    /// `NOAUTH`, `WRONGPASS`: the user or the password is wrong.
    NotAuthenticated,
    /// `LOADING`: the server is loading its data from disk.
    Loading,
    /// `BUSY`: another client's script is taking long.
    Busy,
    /// `CLUSTERDOWN`, `TRYAGAIN`, `MOVED` and `ASK`: the cluster is changing, or a part of it is down.
    Cluster,
    /// `MASTERDOWN`: the server is a replica that has lost its primary.
    MasterDown,
    /// `NOSCRIPT`: the server doesn't have the script.
    NoScript,
    /// `WRONGTYPE`: the key contains something that isn't this store's.
    WrongType,
    /// Any other error.
    Other,
}

/// The reason why there is no answer.
#[derive(Debug, Clone)]
pub(in super::super) enum Cause {
    /// There is no connection, for this reason.
    Down(Arc<str>),
    /// The store can't use this server, for this reason.
    Unsuitable(Arc<str>),
    /// The connection was lost, for this reason.
    Lost(Arc<str>),
    /// The time limit passed.
    Overdue(Duration),
    /// The store is closed.
    Closed,
}

impl LinkError {
    /// Classifies redis-rs's error for a request that was handed to a connection.
    pub(in super::super) fn of_request(error: &RedisError) -> Self {
        match RefusalKind::of(error) {
            Some(kind) => {
                Self::Refused(Refusal { kind, said: error.to_string().into(), redirect: Redirect::of(error) })
            }
            None => Self::Unanswered(Cause::Lost(error.to_string().into())),
        }
    }

    /// The kind of refusal, if it is one.
    pub(in super::super) fn refusal(&self) -> Option<RefusalKind> {
        match self {
            Self::Refused(refusal) => Some(refusal.kind),
            Self::NotSent(_) | Self::Unanswered(_) | Self::NotReplicated { .. } => None,
        }
    }

    /// Whether the server refused the request because it is full. It still accepts removals.
    pub(in super::super) fn is_out_of_memory(&self) -> bool {
        self.refusal() == Some(RefusalKind::OutOfMemory)
    }

    /// The store's error for a request that changes nothing.
    pub(in super::super) fn of_read(self) -> StoreError {
        let kind = match &self {
            Self::Refused(refusal) => refusal.kind.store_kind(),
            Self::NotSent(cause) | Self::Unanswered(cause) => cause.kind(),
            Self::NotReplicated { .. } => StoreErrorKind::NotReplicated,
        };
        StoreError::new(kind).because(self)
    }

    /// The store's error for a request that changes something. If it was sent and not answered, it may have happened.
    pub(in super::super) fn of_write(self) -> StoreError {
        match self {
            Self::Unanswered(_) => StoreError::new(StoreErrorKind::OutcomeUnknown).because(self),
            Self::Refused(_) | Self::NotSent(_) | Self::NotReplicated { .. } => self.of_read(),
        }
    }
}

impl RefusalKind {
    /// Returns `None` if the error is not an answer from the server.
    fn of(error: &RedisError) -> Option<Self> {
        Some(match error.kind() {
            ErrorKind::Server(kind) => match kind {
                ServerErrorKind::ReadOnly => Self::ReadOnly,
                ServerErrorKind::NoPerm => Self::NotPermitted,
                ServerErrorKind::BusyLoading => Self::Loading,
                ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask => Self::Cluster,
                ServerErrorKind::MasterDown => Self::MasterDown,
                ServerErrorKind::NoScript => Self::NoScript,
                _ => Self::of_text(error.detail().unwrap_or_default()),
            },
            ErrorKind::Extension => match error.code().unwrap_or_default() {
                "OOM" => Self::OutOfMemory,
                "NOREPLICAS" => Self::TooFewReplicas,
                "MISCONF" => Self::CannotSave,
                "NOAUTH" | "WRONGPASS" => Self::NotAuthenticated,
                "BUSY" => Self::Busy,
                "WRONGTYPE" => Self::WrongType,
                _ => Self::Other,
            },
            ErrorKind::AuthenticationFailed => Self::NotAuthenticated,
            _ => return None,
        })
    }

    /// Classifies the message of an `ERR`. A command that the user may not run is reported like this inside a script.
    fn of_text(text: &str) -> Self {
        if text.contains("can't run this command") || text.contains("can't access") || text.starts_with("ACL failure") {
            Self::NotPermitted
        } else {
            Self::Other
        }
    }

    fn store_kind(self) -> StoreErrorKind {
        match self {
            Self::OutOfMemory
            | Self::ReadOnly
            | Self::TooFewReplicas
            | Self::CannotSave
            | Self::NotPermitted
            | Self::NotAuthenticated
            | Self::Loading
            | Self::Busy
            | Self::Cluster
            | Self::MasterDown => StoreErrorKind::Unavailable,
            Self::WrongType => StoreErrorKind::Corrupt,
            Self::NoScript | Self::Other => StoreErrorKind::Other,
        }
    }

    /// Advice for the error message.
    fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::OutOfMemory => "the server is full: raise its `maxmemory`, or remove data other than sessions",
            Self::ReadOnly => "the server is a replica: connect to the primary",
            Self::TooFewReplicas => "too few replicas are connected for the server's `min-replicas-to-write`",
            Self::CannotSave => "the server can't save to its disk; see its log",
            Self::NotPermitted => "the user lacks a permission; `RedisStore` lists those that it needs",
            Self::NotAuthenticated => "check the user and the password",
            Self::Loading => "the server is starting, and is loading its data from disk",
            Self::Busy => "another client's script is blocking the server",
            Self::Cluster => "the cluster is changing, or a part of it is down",
            Self::MasterDown => "the replica has lost its primary",
            Self::WrongType => "the key has another type: does something else use the prefix?",
            Self::NoScript | Self::Other => return None,
        })
    }
}

impl Cause {
    fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Overdue(_) => StoreErrorKind::Timeout,
            Self::Down(_) | Self::Unsuitable(_) | Self::Lost(_) | Self::Closed => StoreErrorKind::Unavailable,
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal { kind, said, .. }) => match kind.advice() {
                Some(advice) => write!(f, "{advice} (it answered \"{said}\")"),
                None => write!(f, "the server answered \"{said}\""),
            },
            Self::NotSent(cause) => write!(f, "not sent: {cause}"),
            Self::Unanswered(cause) => write!(f, "not answered: {cause}"),
            Self::NotReplicated { confirmed, wanted } => write!(
                f,
                "written on the primary, but only {confirmed} of {wanted} replicas confirmed it in time (setting `replicas`)"
            ),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(cause) => write!(f, "not connected: {cause}"),
            Self::Unsuitable(cause) => write!(f, "the server can't be used: {cause}"),
            Self::Lost(cause) => write!(f, "the connection was lost: {cause}"),
            Self::Overdue(limit) => write!(f, "the time limit of {limit:?} has passed (setting `request_timeout`)"),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for LinkError {}
