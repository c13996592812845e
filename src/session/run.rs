//! Running closures of the application on the session: with no lock held, and so that they can run again.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    changes::{Change, Draft, Replay},
    request::{Shared, to_its_end},
};
use crate::error::{Error, ErrorKind, Result};

/// What one run of a closure came to.
pub(super) struct Ran<R> {
    pub(super) result: R,
    /// What it did is kept. Else the draft is as it was.
    pub(super) keep: bool,
}

/// What becomes of a change when another request was first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It runs again, unless the layer's policy says that the last write wins.
    Merged,
    /// It always runs again: it gives a value to one request only.
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

impl Shared {
    /// Runs a closure on the draft and logs it. Returns what it returned, and the number of the change; `None` if it is not
    /// kept.
    pub(super) fn run<R>(
        &self,
        key: Option<&str>,
        again: Again,
        run: impl Fn(&mut Draft) -> Result<Ran<R>> + Send + Sync + 'static,
    ) -> Result<(R, Option<u64>)> {
        loop {
            let (mut draft, revision) = {
                let state = self.state();
                state.writable()?;
                (state.draft.clone(), state.revision)
            };
            let before = draft.encoded_len();
            let Ran { result, keep } = run(&mut draft)?;
            let (after, limit) = (draft.encoded_len(), self.settings.max_record);
            // What shrinks a record that is too large already is welcome.
            if after > limit && after > before {
                return Err(Error::too_large(key, after, limit));
            }
            let mut state = self.state();
            if state.revision != revision {
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
            return Ok((result, Some(state.record(change))));
        }
    }

    /// The same, committed at once; returns what the closure returned when it was finally applied.
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
            to_its_end(async move { self.save_own(number).await }).await?;
        }
        let result = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It ran before `run` returned.
        result.ok_or_else(|| Error::request(ErrorKind::Other))
    }
}
