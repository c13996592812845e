//! Runtimes beside the test's own, some of them busy.

use std::{future::poll_fn, pin::pin, sync::mpsc, task::Poll, thread};

use tokio::runtime::{Builder, Runtime};

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs a future on another runtime.
pub fn elsewhere<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// Polls a request once, which sends it, and then drops it.
pub async fn begin(request: impl Future) {
    let mut request = pin!(request);
    poll_fn(|context| Poll::Ready(request.as_mut().poll(context).is_pending())).await;
}

/// A runtime whose only thread has used a store, and then blocks until this is dropped.
pub struct Blocked {
    release: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Blocked {
    /// Starts it. `using` uses the store, which opens its connections.
    pub fn start(using: impl AsyncFnOnce() + Send + 'static) -> Self {
        let ((release, released), (blocking, blocked)) = (mpsc::channel::<()>(), mpsc::channel());
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                using().await;
                blocking.send(()).expect("the test waits");
                // Blocks like a handler that computes or makes a blocking call.
                let _ = released.recv();
            });
        });
        blocked.recv().expect("the store can be used");
        Self { release: Some(release), thread: Some(thread) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        drop(self.release.take());
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
