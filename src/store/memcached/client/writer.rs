//! Writes requests to a connection.

use std::collections::VecDeque;

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::yield_now,
    time::Instant,
};

use super::{
    error::Reason,
    in_flight::{InFlight, Request},
    reply::Reply,
    shared::{BUFFER_BYTES, Shared},
};

/// How many requests are taken from the queue for one write.
const BATCH: usize = 256;

/// A write takes requests until they have this many bytes. Requests that are not in a write yet can still be withdrawn.
const BATCH_BYTES: usize = 64 * 1_024;

/// Writes queued requests in batches.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) queue: &'a mut mpsc::Receiver<Request>,
    pub(super) waiting: &'a mut VecDeque<Request>,
    pub(super) in_flight: &'a InFlight,
    pub(super) incarnation: u64,
}

impl Writer<'_> {
    /// Runs until the queue is closed.
    pub(super) async fn run(&mut self, mut write: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BUFFER_BYTES));
        loop {
            if self.waiting.is_empty() {
                if self.queue.recv_many(&mut batch, BATCH).await == 0 {
                    return Ok(());
                }
                self.waiting.extend(batch.drain(..));
                if self.waiting.len() < self.shared.in_flight() {
                    // More requests are under way than were taken here, so other callers may be about to queue theirs.
                    // The runtime runs a task that was just woken before those that were ready earlier. If this task
                    // did not yield, every request would be written alone.
                    yield_now().await;
                    while self.waiting.len() < BATCH
                        && let Ok(request) = self.queue.try_recv()
                    {
                        self.waiting.push_back(request);
                    }
                }
            }
            // What doesn't fit stays for the next write, or for the next connection.
            self.encode(&mut bytes);
            if !bytes.is_empty() {
                write.write_all(&bytes).await?;
                write.flush().await?;
            }
            bytes.clear();
            bytes.shrink_to(BUFFER_BYTES);
        }
    }

    /// Moves requests into `bytes` and in flight, except those that have failed or were withdrawn. From here on they
    /// count as sent.
    fn encode(&mut self, bytes: &mut Vec<u8>) {
        let (now, limit) = (Instant::now(), self.shared.item_limit());
        let mut in_flight = self.in_flight.lock();
        while bytes.len() < BATCH_BYTES
            && let Some(Request { command, waiter }) = self.waiting.pop_front()
        {
            if waiter.deadline <= now {
                waiter.fail_unsent(Reason::Overdue(self.shared.settings.request_timeout));
            } else if command.item_size > limit {
                // Sending it would destroy the stored item.
                waiter.fail_unsent(Reason::TooLarge { bytes: command.item_size, limit });
            } else if command.incarnation.is_some_and(|given_by| given_by != self.incarnation) {
                waiter.answer(Reply::restarted());
            } else if waiter.write() {
                bytes.extend_from_slice(&command.bytes);
                in_flight.push_back((command.opaque, waiter));
            }
        }
    }
}
