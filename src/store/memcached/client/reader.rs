//! Reads replies from a connection.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep},
};

use super::{
    super::events::TARGET,
    error::Reason,
    in_flight::{InFlight, Waiter},
    reply::{Reply, ReplyError, Status, parse},
    shared::{BUFFER_BYTES, Shared},
};

/// How much longer than the item limit a reply's value may be, in bytes: the limit counts overhead that some versions
/// lack.
const VALUE_SLACK: usize = 1_024;

/// How serving a connection ended.
pub(super) enum End {
    /// No more requests can come, and all are answered.
    Closed,
    /// The connection can't be used any more.
    Lost(Reason),
}

/// Reads replies and hands them out.
pub(super) struct Reader<'a> {
    pub(super) shared: &'a Shared,
    pub(super) in_flight: &'a InFlight,
    pub(super) closing: &'a AtomicBool,
    pub(super) answered: &'a AtomicBool,
    pub(super) incarnation: u64,
}

impl Reader<'_> {
    /// Runs until the connection ends, a request is overdue, or the queue is closed and everything is answered.
    pub(super) async fn run(&mut self, mut read: impl AsyncRead + Unpin) -> End {
        let limit = self.shared.settings.request_timeout;
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        // One timer for all requests. It fires at the deadline of the oldest one, or after `limit` if there is none.
        let mut watch = pin!(sleep(limit));
        loop {
            tokio::select! {
                biased;
                result = read.read_buf(&mut buffer) => match result {
                    Ok(0) => return lost("the server closed it"),
                    Ok(_) => {}
                    Err(error) => return lost(&error.to_string()),
                },
                () = &mut watch => {
                    let now = Instant::now();
                    match self.in_flight.next_deadline() {
                        Some(deadline) if deadline <= now => return End::Lost(Reason::Overdue(limit)),
                        Some(deadline) => watch.as_mut().reset(deadline),
                        None => watch.as_mut().reset(now + limit),
                    }
                    continue;
                }
            }
            if let Err(error) = self.hand_out(&mut buffer) {
                tracing::error!(
                    target: TARGET,
                    server = %self.shared.name, %error, "protocol violated: connection closed"
                );
                return lost(&error.to_string());
            }
            if self.closing.load(Ordering::Relaxed) && self.in_flight.is_empty() {
                return End::Closed;
            }
            if buffer.capacity() < BUFFER_BYTES / 4 {
                buffer.reserve(BUFFER_BYTES);
            }
        }
    }

    fn hand_out(&self, buffer: &mut BytesMut) -> Result<(), ReplyError> {
        let max_value = self.shared.item_limit().saturating_add(VALUE_SLACK);
        while !buffer.is_empty() {
            let Some(mut reply) = parse(buffer, max_value)? else { break };
            reply.incarnation = self.incarnation;
            let (opaque, waiter) = self.in_flight.take().ok_or(ReplyError::Garbage("a reply without a request"))?;
            check(reply, opaque, waiter)?;
            self.answered.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Hands a reply to a request, if the reply has that request's opaque.
fn check(reply: Reply, opaque: u64, waiter: Waiter) -> Result<(), ReplyError> {
    // Error lines have no opaque.
    if reply.opaque == Some(opaque) || matches!(reply.status, Status::ServerError(_)) {
        waiter.answer(reply);
        return Ok(());
    }
    waiter.fail_sent(Reason::Lost("a reply to another request".into()));
    Err(ReplyError::Garbage("a reply to another request"))
}

fn lost(cause: &str) -> End {
    End::Lost(Reason::Lost(cause.into()))
}
