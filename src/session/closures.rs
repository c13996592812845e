//! Runs the application's closures on the session, with no lock held, and logs them so that they can run again.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    changes::{Change, Replay},
    draft::Draft,
    request_session::RequestSession,
};
use crate::error::{Error, ErrorKind, Result};

/// The outcome of one run of a closure.
pub(super) struct Ran<R> {
    pub(super) result: R,
    /// Whether its changes are kept. If not, the draft stays as it was.
    pub(super) keep: bool,
}

/// How a change is replayed if another request has written first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The closure runs again, unless the layer's policy is to let the last write win.
    Merged,
    /// The closure always runs again, since it gives a value to only one request.
    Exactly,
}

impl<R> Ran<R> {
    pub(super) fn kept(result: R) -> Self {
        Self { result, keep: true }
    }
}

impl<R, E> Ran<Result<R, E>> {
    pub(super) fn if_ok(result: Result<R, E>) -> Self {
        Self { keep: result.is_ok(), result }
    }
}

impl RequestSession {
    /// Runs a closure on the draft and logs it. Returns the closure's result and the number of the change, or `None`
    /// instead of the number if the change is not kept.
    pub(super) fn run<R>(
        &self,
        key: Option<&str>,
        again: Again,
        run: impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static,
    ) -> Result<(R, Option<u64>)> {
        loop {
            let (mut draft, revision) = {
                let state = self.state();
                state.require_writable()?;
                (state.draft.clone(), state.log.revision)
            };
            let before = draft.encoded_len();
            let Ran { result, keep } = run(&mut draft)?;
            let (after, max_record_bytes) = (draft.encoded_len(), self.settings().max_record_bytes);
            // A record that is already too large may shrink.
            if after > max_record_bytes && after > before {
                return Err(Error::too_large(key, after, max_record_bytes));
            }
            let mut state = self.state();
            if state.log.revision != revision {
                continue;
            }
            if !keep {
                return Ok((result, None));
            }
            state.draft = draft;
            let replay: Replay = Arc::new(move |draft: &mut Draft| run(draft).map(drop));
            let change = match again {
                Again::Merged => Change::Run(replay),
                Again::Exactly => Change::Exactly(replay),
            };
            return Ok((result, Some(state.log(change))));
        }
    }

    /// Like [`run`](Self::run), but commits at once and returns the result of the closure's last run.
    pub(super) async fn run_now<R: Send + 'static>(
        self: Arc<Self>,
        key: Option<&str>,
        again: Again,
        run: impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static,
    ) -> Result<R> {
        let last = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&last);
        let ((), number) = self.run(key, again, move |draft| {
            let Ran { result, keep } = run(draft)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            Ok(Ran { result: (), keep })
        })?;
        if let Some(number) = number {
            let outliving = self.context.outliving.clone();
            outliving.run_on(async move { self.save(Some(number)).await }).await?;
        }
        let result = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The closure ran before `run` returned, so there is a result.
        result.ok_or_else(|| Error::request(ErrorKind::Other))
    }
}
