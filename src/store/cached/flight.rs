//! One call to the store for all who miss the same id.

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

/// A call to the store that several wait for. Whoever comes first makes it; if they are dropped, the next one does.
pub(super) struct Flight {
    answer: OnceCell<Answer>,
    begun: AtomicBool,
    /// Shared by the flights of one id that follow each other: one call at a time.
    turn: Arc<Mutex<()>>,
}

impl Flight {
    /// A flight that waits until the one before is over, and gathers passengers meanwhile.
    pub(super) fn after(before: Option<&Self>) -> Self {
        let turn = before.map_or_else(Arc::default, |before| Arc::clone(&before.turn));
        Self { answer: OnceCell::new(), begun: AtomicBool::new(false), turn }
    }

    /// Whether the store has been asked.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// The answer of this flight's one call.
    pub(super) async fn answer(&self, call: impl AsyncFnOnce() -> Answer) -> Answer {
        let answer = self.answer.get_or_init(|| async {
            // Once through the scheduler, so that loads which were woken together fly together.
            yield_once().await;
            let _turn = self.turn.lock().await;
            // Who sees `false` before this comes before the call.
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
