//! Stops calls at a point until a test releases them.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds calls back until it is released; see [`FaultStore::pause`](super::FaultStore::pause).
///
/// Dropping a gate releases it, so a failing test doesn't hang.
#[derive(Debug)]
#[must_use = "dropping a gate releases it"]
pub struct Gate(Arc<Posts>);

/// The state that calls share with their gate.
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

    /// Waits until a call has reached the gate.
    pub async fn reached(&self) {
        self.0.reached.wait().await;
    }

    /// Whether a call has reached the gate.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.0.reached.happened()
    }

    /// Releases the calls that wait at the gate and lets later ones pass.
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
    /// Waits at the gate, on behalf of a call.
    pub(super) async fn pass(&self) {
        self.reached.happen();
        self.open.wait().await;
    }
}

/// A one-time event: a semaphore without permits that is closed when the event happens.
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
