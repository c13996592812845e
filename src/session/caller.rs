//! The request whose handler is being polled, so that a session learns when its handler ends it by owner or by id.

#[cfg(feature = "axum")]
use std::any::Any;
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
/// remove the cookie of a login in between. A handler can also end its session by `revoke_all(owner)` or `end(id)`,
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

    /// The application's response to errors, if its layer has one.
    #[cfg(feature = "axum")]
    pub(crate) fn error_response(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.0.as_ref()?.settings().error_response.as_deref()
    }
}

impl Polling {
    /// Marks this request's handler as being polled, until the returned value is dropped.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        Self::replace(Some(Arc::clone(shared)))
    }

    /// Marks no handler as being polled, until the returned value is dropped. Code that runs meanwhile has no layer
    /// around it, so an error that it turns into a response has the default one.
    pub(crate) fn suspend() -> Self {
        Self::replace(None)
    }

    fn replace(present: Option<Arc<Shared>>) -> Self {
        Self(PRESENT.try_with(|before| before.replace(present)).ok().flatten())
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
pub(crate) fn report_failed(error: &Error, caller: &Caller) {
    let kind = EventKind::HandlerFailed { error };
    match &caller.0 {
        Some(shared) => shared.context.emit(kind),
        None => Observers::NONE.emit(kind),
    }
}
