//! Lines in which the tasks of this process wait for one session.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::id::SessionId;

/// How many can wait behind the first in a bounded line.
const BEHIND: usize = 32;

/// One line for each session that a task waits for. A line exists as long as anyone has a place in it.
pub(crate) struct Lines {
    lines: Mutex<HashMap<SessionId, Arc<Line>>>,
    /// How many can wait in one line, the first included.
    room: usize,
}

struct Line {
    /// Held by the first in the line, and handed on in the order of arrival.
    front: Arc<AsyncMutex<()>>,
    room: Arc<Semaphore>,
    freed: Notify,
}

/// A place in a line. The last one to leave removes the line.
pub(crate) struct Place {
    lines: Arc<Lines>,
    id: SessionId,
    /// `None` once the place was left.
    line: Option<Arc<Line>>,
}

/// The front of a line. When it is dropped, the next in the line gets it.
pub(crate) struct Front {
    // Dropped before the place. Otherwise the line could be removed, and another one begun, while its front is still
    // held.
    _front: OwnedMutexGuard<()>,
    _place: Place,
}

impl Lines {
    /// Creates lines in which any number can wait.
    pub(crate) fn unbounded() -> Self {
        Self { lines: Mutex::default(), room: Semaphore::MAX_PERMITS }
    }

    /// Creates lines in which one and [`BEHIND`] more can wait.
    pub(crate) fn bounded() -> Self {
        Self { lines: Mutex::default(), room: 1 + BEHIND }
    }

    /// Takes a place in the line of this session.
    pub(crate) fn join(self: &Arc<Self>, id: SessionId) -> Place {
        let line = Arc::clone(self.all().entry(id).or_insert_with(|| Arc::new(Line::new(self.room))));
        Place { lines: Arc::clone(self), id, line: Some(line) }
    }

    /// Waits for the front of this session's line; `None` if it was not reached before the deadline.
    pub(crate) async fn front(self: &Arc<Self>, id: SessionId, deadline: Instant) -> Option<Front> {
        let place = self.join(id);
        let front = place.front(deadline).await?;
        Some(Front { _front: front, _place: place })
    }

    /// Takes the front of this session's line if it is free.
    pub(crate) fn try_front(self: &Arc<Self>, id: SessionId) -> Option<Front> {
        let place = self.join(id);
        let front = Arc::clone(&place.line().front).try_lock_owned().ok()?;
        Some(Front { _front: front, _place: place })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(room: usize) -> Self {
        Self { front: Arc::default(), room: Arc::new(Semaphore::new(room)), freed: Notify::new() }
    }
}

impl Place {
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Reserves room to wait in the line. Returns `None` if too many requests are waiting already.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.line().room).try_acquire_owned().ok()
    }

    /// Waits for the front of the line; `None` if it was not reached before the deadline. The caller must drop it
    /// before the place.
    pub(crate) async fn front(&self, deadline: Instant) -> Option<OwnedMutexGuard<()>> {
        timeout_at(deadline, Arc::clone(&self.line().front).lock_owned()).await.ok()
    }

    /// Returns the notification that wakes the first in the line when the lease is free.
    pub(crate) fn freed(&self) -> &Notify {
        &self.line().freed
    }

    fn line(&self) -> &Line {
        self.line.as_deref().expect("only `drop` takes it")
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        Self { lines: Arc::clone(&self.lines), id: self.id, line: self.line.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lines.all();
        // Leave the line before looking for others, so that of two that leave at once, the second one sees that it is
        // the last. No place can be added in between: joining takes the map's lock, and a clone is made from a place
        // that still counts.
        self.line = None;
        if lines.get(&self.id).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.id);
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("sessions", &self.all().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };

    use super::*;

    fn lines() -> Arc<Lines> {
        Arc::new(Lines::unbounded())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn one_after_another_and_nothing_stays() {
        let lines = lines();
        let id = SessionId::for_epoch("x");
        let first = lines.front(id, soon()).await.unwrap();
        assert!(lines.front(id, soon()).await.is_none(), "the time is bounded");
        assert_eq!(lines.all().len(), 1);
        let second = lines.front(id, soon());
        tokio::pin!(second);
        assert!(poll_once(second.as_mut()).await.is_none());
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert!(lines.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_leaves_no_turn_behind() {
        let lines = lines();
        let id = SessionId::for_epoch("x");
        let first = lines.front(id, soon()).await.unwrap();
        {
            let second = lines.front(id, soon());
            tokio::pin!(second);
            assert!(poll_once(second.as_mut()).await.is_none());
        }
        drop(first);
        assert!(lines.all().is_empty());
        assert!(lines.front(id, soon()).await.is_some());
    }

    #[test]
    fn a_bounded_line_has_room_for_some_and_is_free_again_when_they_leave() {
        let lines = Arc::new(Lines::bounded());
        let place = lines.join(SessionId::for_epoch("x"));
        let mut rooms: Vec<_> = (0..=BEHIND).map(|_| place.room().unwrap()).collect();
        assert!(place.room().is_none());
        rooms.pop();
        assert!(place.room().is_some());
    }

    /// Pairs join a line together and leave it at the same moment, as closely as two threads can.
    #[test]
    fn a_line_that_all_have_left_is_gone() {
        const LINES: u64 = 60_000;
        let (lines, arrived) = (lines(), AtomicU64::new(0));
        let visit = || {
            for line in 0..LINES {
                let place = lines.join(SessionId::from_uuid(uuid::Uuid::from_u128(u128::from(line))));
                arrived.fetch_add(1, Ordering::SeqCst);
                let mut tries = 0;
                while arrived.load(Ordering::SeqCst) < 2 * (line + 1) {
                    // On a single processor, the other thread can't arrive otherwise.
                    if tries > 1_000 {
                        std::thread::yield_now()
                    } else {
                        std::hint::spin_loop()
                    }
                    tries += 1;
                }
                drop(place);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(visit);
            visit();
        });
        assert!(lines.all().is_empty());
    }

    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
