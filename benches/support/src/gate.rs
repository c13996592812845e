//! Where the handlers of the races meet.

use tokio::sync::{Barrier, Notify};

/// How many requests race.
pub const RACERS: usize = 100;

/// Shared by a router's handlers and by who sends the requests.
#[derive(Debug)]
pub struct Gate {
    all_loaded: Barrier,
    slow_loaded: Notify,
    slow_goes_on: Notify,
}

impl Gate {
    pub fn new() -> Self {
        let (slow_loaded, slow_goes_on) = (Notify::new(), Notify::new());
        Self { all_loaded: Barrier::new(RACERS), slow_loaded, slow_goes_on }
    }

    /// In the handler: until all racers have loaded their session.
    pub async fn all_loaded(&self) {
        self.all_loaded.wait().await;
    }

    /// In the slow handler: its session is loaded, and it works until it is let on.
    pub async fn work(&self) {
        self.slow_loaded.notify_one();
        self.slow_goes_on.notified().await;
    }

    /// Outside: until the slow handler is at work.
    pub async fn until_at_work(&self) {
        self.slow_loaded.notified().await;
    }

    /// Outside: the slow handler goes on.
    pub fn go_on(&self) {
        self.slow_goes_on.notify_one();
    }
}
