//! Where the requests run.

use tokio::runtime::{Builder, Runtime};

/// On this thread alone.
pub fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads")
}
