//! Commits of one session that met a conflict, one after another.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    time::Instant,
};

use crate::id::SessionId;

/// Lets the commits of one session in this process queue up after their first conflict.
///
/// A hundred requests that retry at once would each fail up to a hundred times; in a row, each reloads once.
#[derive(Default)]
pub(crate) struct CommitQueue {
    waiting: Mutex<HashMap<SessionId, Arc<AsyncMutex<()>>>>,
}

/// One's turn. The next in the queue gets it when this is dropped.
pub(crate) struct Turn<'a> {
    queue: &'a CommitQueue,
    id: SessionId,
    permit: Option<OwnedMutexGuard<()>>,
}

impl CommitQueue {
    /// Waits for the turn of this session until the deadline; `None` if it did not come.
    pub(crate) async fn turn(&self, id: SessionId, deadline: Instant) -> Option<Turn<'_>> {
        let mutex = Arc::clone(self.waiting().entry(id).or_default());
        // Made before the wait, so that a future dropped while it waits cleans up as well.
        let mut turn = Turn { queue: self, id, permit: None };
        turn.permit = Some(tokio::time::timeout_at(deadline, mutex.lock_owned()).await.ok()?);
        Some(turn)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<AsyncMutex<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut waiting = self.queue.waiting();
        // Clones are made under this lock only, so a count of one means that nobody else waits.
        if waiting.get(&self.id).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            waiting.remove(&self.id);
        }
    }
}

impl fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitQueue").field("sessions", &self.waiting().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn one_after_another_and_nothing_stays() {
        let queue = CommitQueue::default();
        let id = SessionId::of_owner("x");
        let first = queue.turn(id, soon()).await.unwrap();
        assert!(queue.turn(id, soon()).await.is_none(), "the time is bounded");
        assert_eq!(queue.waiting().len(), 1);
        let second = queue.turn(id, soon());
        tokio::pin!(second);
        assert!(futures_poll_once(second.as_mut()).await.is_none());
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert!(queue.waiting().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_leaves_no_turn_behind() {
        let queue = CommitQueue::default();
        let id = SessionId::of_owner("x");
        let first = queue.turn(id, soon()).await.unwrap();
        {
            let second = queue.turn(id, soon());
            tokio::pin!(second);
            assert!(futures_poll_once(second.as_mut()).await.is_none());
        }
        drop(first);
        assert!(queue.waiting().is_empty());
        assert!(queue.turn(id, soon()).await.is_some());
    }

    async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
