//! Records which request's handler is being polled, so that a session learns when its handler ends it by owner or by
//! id.

#[cfg(feature = "axum")]
use std::any::Any;
use std::{cell::RefCell, sync::Arc};

use super::{live::EndedBeside, request_session::RequestSession};
#[cfg(feature = "axum")]
use crate::{
    error::Error,
    events::{EventKind, Observers},
};

thread_local! {
    static PRESENT: RefCell<Option<Arc<RequestSession>>> = const { RefCell::new(None) };
}

/// The request whose handler makes a call, or `None` if no handler does.
///
/// A response removes the session's cookie only if its own request ended the session. Otherwise a late logout would
/// remove the cookie of a login in between. But a handler can also end its session by `revoke_all(owner)` or `end(id)`,
/// which have no access to the request. So the layer records which request's handler it is polling.
pub(crate) struct Caller(Option<Arc<RequestSession>>);

/// The request whose handler was being polled before. It is restored when this is dropped.
pub(crate) struct Polling(Option<Arc<RequestSession>>);

impl Caller {
    /// Returns the request whose handler makes this call. Must be called before the first await.
    pub(crate) fn present() -> Self {
        Self(PRESENT.try_with(|present| present.borrow().clone()).ok().flatten())
    }

    /// Notes in the request which sessions its handler has ended.
    pub(crate) fn has_ended(self, ended: Option<EndedBeside>) {
        if let (Some(request), Some(ended)) = (self.0, ended) {
            request.has_ended_beside(ended);
        }
    }

    /// Returns the application's response to errors, if its layer has one.
    #[cfg(feature = "axum")]
    pub(crate) fn error_response(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.0.as_ref()?.settings().error_response.as_deref()
    }
}

impl Polling {
    /// Marks this request's handler as being polled, until the returned value is dropped.
    pub(crate) fn begin(request: &Arc<RequestSession>) -> Self {
        Self::replace(Some(Arc::clone(request)))
    }

    /// Marks no handler as being polled, until the returned value is dropped. Code that runs in the meantime has no
    /// layer around it, so an error that it turns into a response gets the default response.
    pub(crate) fn suspend() -> Self {
        Self::replace(None)
    }

    fn replace(present: Option<Arc<RequestSession>>) -> Self {
        Self(PRESENT.try_with(|before| before.replace(present)).ok().flatten())
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let before = self.0.take();
        // Drop the old value when the cell is no longer borrowed: dropping the last clone of a request may emit an
        // event.
        drop(PRESENT.try_with(|present| present.replace(before)));
    }
}

/// Reports an error that a handler returns as its response. The event goes to the observers of the layer around the
/// handler; if no handler is being polled, it goes to `tracing` only.
#[cfg(feature = "axum")]
pub(crate) fn report_failed(error: &Error, caller: &Caller) {
    let kind = EventKind::HandlerFailed { error };
    match &caller.0 {
        Some(request) => request.context.emit(kind),
        None => Observers::NONE.emit(kind),
    }
}
