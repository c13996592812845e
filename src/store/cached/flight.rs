//! One call to the store, shared by all loads that miss the same id.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use tokio::sync::{Mutex, OnceCell};

use crate::store::{StoreError, Stored};

type Answer = Result<Option<Stored>, StoreError>;

/// A call to the store that several loads wait for. The first one makes it. If that is dropped, the next one does.
pub(super) struct Flight {
    answer: OnceCell<Answer>,
    begun: AtomicBool,
    /// Shared by successive flights of one id, so that they make one call at a time.
    turn: Arc<Mutex<()>>,
}

impl Flight {
    /// Creates a flight that waits until the one before it is over. Loads can join it meanwhile.
    pub(super) fn after(before: Option<&Self>) -> Self {
        let turn = before.map_or_else(Arc::default, |before| Arc::clone(&before.turn));
        Self { answer: OnceCell::new(), begun: AtomicBool::new(false), turn }
    }

    /// Whether the call to the store has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns the answer of this flight's call, making the call if nobody has.
    pub(super) async fn answer(&self, call: impl AsyncFnOnce() -> Answer) -> Answer {
        let answer = self.answer.get_or_init(|| async {
            // Yields to the scheduler once, so that loads that were woken together share the flight.
            yield_once().await;
            let _turn = self.turn.lock().await;
            // A load that still reads `false` began before this call.
            self.begun.store(true, Ordering::SeqCst);
            call().await
        });
        answer.await.clone()
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
