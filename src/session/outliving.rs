//! Operations that outlive their callers: they run to completion in their own tasks, and are counted so that a shutdown
//! can wait for them.

use tokio::{runtime::Handle, sync::watch};
use tracing::Instrument;

/// The operations of one layer that continue if their callers are dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outliving(watch::Sender<usize>);

/// One such operation. It is over when this is dropped.
#[must_use]
pub(crate) struct Guard(Outliving);

impl Outliving {
    /// Counts an operation from now on. Call it before its task is spawned.
    pub(crate) fn begin(&self) -> Guard {
        self.0.send_modify(|running| *running += 1);
        Guard(self.clone())
    }

    /// Runs a future to completion even if the caller is dropped. Without a tokio runtime, awaits it in place.
    pub(crate) async fn run_on<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
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

    /// Waits until no operation is running.
    pub(crate) async fn drained(&self) {
        // An error would mean that there is no sender left, but `self` is one.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}
