//! The runtimes that serve and send requests.

use tokio::runtime::{Builder, Runtime};

/// Creates a runtime that uses only this thread.
pub fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads")
}
