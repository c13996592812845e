//! The request whose handler is being polled, so that a session learns when its handler ends it by owner or by id.

use std::{cell::RefCell, sync::Arc};

use super::{live::EndedBeside, shared::Shared};
#[cfg(feature = "axum")]
use crate::{
    error::Error,
    events::{EventKind, Observers},
};

thread_local! {
    static PRESENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// The request whose handler makes a call, if a handler makes it.
///
/// A response removes the session's cookie only if its own request ended the session: otherwise a late logout would
/// remove the cookie of a login in between. A handler can also end its session by `revoke(owner)` or `remove(id)`,
/// which don't know the request. So the layer records which request's handler it is polling.
pub(crate) struct Caller(Option<Arc<Shared>>);

/// The request whose handler was being polled before. Restored when this is dropped.
pub(crate) struct Polling(Option<Arc<Shared>>);

impl Caller {
    /// Returns the request whose handler calls this. Call it before the first await.
    pub(crate) fn present() -> Self {
        Self(PRESENT.try_with(|present| present.borrow().clone()).ok().flatten())
    }

    /// Tells the request which sessions its handler has ended.
    pub(crate) fn has_ended(self, ended: Option<EndedBeside>) {
        if let (Some(shared), Some(ended)) = (self.0, ended) {
            shared.has_ended_beside(ended);
        }
    }
}

impl Polling {
    /// Marks this request's handler as being polled, until the returned value is dropped.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        Self(PRESENT.try_with(|present| present.replace(Some(Arc::clone(shared)))).ok().flatten())
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let before = self.0.take();
        // Drop the old value after the cell is free again: dropping the last clone of a request may report an event.
        drop(PRESENT.try_with(|present| present.replace(before)));
    }
}

/// Reports an error that a handler answers with to the observers of the layer around it, if a handler is being polled.
#[cfg(feature = "axum")]
pub(crate) fn report_failed(error: &Error) {
    let kind = EventKind::HandlerFailed { error };
    match Caller::present().0 {
        Some(shared) => shared.context.emit(kind),
        None => Observers::NONE.emit(kind),
    }
}
