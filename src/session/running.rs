//! Counts operations that run to their end in tasks of their own, so that a shutdown can wait for them.

use tokio::{runtime::Handle, sync::watch};
use tracing::Instrument;

/// The operations of one layer that go on if their callers are dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(watch::Sender<usize>);

/// One such operation. It has ended when this is dropped.
#[must_use]
pub(crate) struct Operation(Running);

impl Running {
    /// Counts an operation from now on. Call it before its task is spawned.
    pub(crate) fn begin(&self) -> Operation {
        self.0.send_modify(|running| *running += 1);
        Operation(self.clone())
    }

    /// Runs a future to its end even if the caller is dropped.
    pub(crate) async fn to_its_end<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let Ok(runtime) = Handle::try_current() else { return future.await };
        let operation = self.begin();
        let task = async move {
            let _operation = operation;
            future.await
        };
        match runtime.spawn(task.in_current_span()).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits until none is running.
    pub(crate) async fn drained(&self) {
        // An error would mean that the sender is gone, and this is one.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}
