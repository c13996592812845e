//! The request whose handler is running: so that what it ends by other ways than its session is known to be its own doing.

use std::{cell::RefCell, sync::Arc};

use super::{request::Shared, state::EndedBeside};

thread_local! {
    static PRESENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// The request in whose handler something is called, if it is called in one.
///
/// A response removes the session's cookie only if its own request ended the session: a late logout must not take the
/// cookie of a login in between. A handler can also end it by `revoke(owner)` or `remove(id)`, which know nothing of
/// requests. So the layer marks whose handler it polls, for as long as it polls it.
pub(crate) struct Caller(Option<Arc<Shared>>);

/// Whose handler was being polled before. Put back when this is dropped.
pub(crate) struct Polling(Option<Arc<Shared>>);

impl Caller {
    /// The request whose handler calls this. To be asked before the first await.
    pub(crate) fn present() -> Self {
        Self(PRESENT.try_with(|present| present.borrow().clone()).ok().flatten())
    }

    /// Notes what the handler has ended.
    pub(crate) fn has_ended(self, ended: Option<EndedBeside>) {
        if let (Some(shared), Some(ended)) = (self.0, ended) {
            shared.has_ended_beside(ended);
        }
    }

    #[cfg(feature = "axum")]
    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref()
    }
}

impl Polling {
    /// Marks that this request's handler is polled.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        Self(PRESENT.try_with(|present| present.replace(Some(Arc::clone(shared)))).ok().flatten())
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let before = self.0.take();
        // Dropped after the cell is free again: the last clone of a request may report what it drops.
        drop(PRESENT.try_with(|present| present.replace(before)));
    }
}
