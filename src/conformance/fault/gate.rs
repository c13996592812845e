//! A point at which calls stop until they are let go.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds calls back until it is released; see [`FaultStore::pause`](super::FaultStore::pause).
///
/// A gate that is dropped lets everything go, so that a test that fails does not hang.
#[derive(Debug)]
#[must_use = "a gate that is dropped is open"]
pub struct Gate(Arc<Posts>);

/// What the calls share with their gate.
#[derive(Debug)]
pub(super) struct Posts {
    reached: Event,
    open: Event,
}

impl Gate {
    pub(super) fn new() -> (Self, Arc<Posts>) {
        let posts = Arc::new(Posts { reached: Event::new(), open: Event::new() });
        (Self(Arc::clone(&posts)), posts)
    }

    /// Waits until a call stands at the gate.
    pub async fn reached(&self) {
        self.0.reached.wait().await;
    }

    /// Whether a call has come to the gate.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.0.reached.happened()
    }

    /// Lets every call go on, those that stand at the gate and those that would come to it.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.open.happen();
    }
}

impl Posts {
    /// What a call does at the gate.
    pub(super) async fn pass(&self) {
        self.reached.happen();
        self.open.wait().await;
    }
}

/// Something that happens once: a semaphore without permits that is closed when it has.
#[derive(Debug)]
struct Event(Semaphore);

impl Event {
    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    fn happen(&self) {
        self.0.close();
    }

    fn happened(&self) -> bool {
        self.0.is_closed()
    }

    async fn wait(&self) {
        let closed = self.0.acquire().await;
        debug_assert!(closed.is_err(), "it never has a permit");
    }
}
