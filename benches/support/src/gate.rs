//! Synchronizes the handlers of the races.

use tokio::sync::{Barrier, Notify};

/// The number of requests in a race.
pub const RACERS: usize = 100;

/// Shared by a router's handlers and the sender of the requests.
#[derive(Debug)]
pub struct Gate {
    all_loaded: Barrier,
    slow_loaded: Notify,
    slow_goes_on: Notify,
}

impl Default for Gate {
    fn default() -> Self {
        let (slow_loaded, slow_goes_on) = (Notify::new(), Notify::new());
        Self { all_loaded: Barrier::new(RACERS), slow_loaded, slow_goes_on }
    }
}

impl Gate {
    /// For a handler: waits until all racers have loaded their session.
    pub async fn all_loaded(&self) {
        self.all_loaded.wait().await;
    }

    /// For the slow handler: reports that its session is loaded, and waits until it may continue.
    pub async fn work(&self) {
        self.slow_loaded.notify_one();
        self.slow_goes_on.notified().await;
    }

    /// For the sender: waits until the slow handler has loaded its session.
    pub async fn until_at_work(&self) {
        self.slow_loaded.notified().await;
    }

    /// For the sender: lets the slow handler continue.
    pub fn go_on(&self) {
        self.slow_goes_on.notify_one();
    }
}
