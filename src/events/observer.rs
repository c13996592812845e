//! Who is told.

use std::sync::Arc;

use super::Event;

/// The application's own eyes on sessions: told what happens, at the moment it happens.
///
/// It is given to a layer by [`SessionLayerBuilder::observe`](crate::SessionLayerBuilder::observe). What a store does by
/// itself (evictions, the sweep, a cache's hits) is told to the observer that the store's own settings name; one in an
/// `Arc` can be given to both. Every closure `Fn(&Event<'_>)` is an observer, and so is a pair of observers.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use session_layer::{Event, EventKind, MemoryStore, Observer, SessionLayer};
///
/// #[derive(Default)]
/// struct Logins(AtomicU64);
///
/// impl Observer for Logins {
///     fn observe(&self, event: &Event<'_>) {
///         if let EventKind::Created { login: true, .. } | EventKind::Renewed { login: true, .. } = event.kind {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let logins = Arc::new(Logins::default());
/// let store = MemoryStore::builder()
///     .observe(|event: &Event<'_>| println!("{} {:?}", event.name(), event.id()))
///     .open()?;
/// let layer = SessionLayer::builder(store).observe(Arc::clone(&logins)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it may do
///
/// It is called in the middle of requests, on whichever thread is at work, and possibly on several at once. So it is to be
/// quick: it counts, or hands over to a channel. What it calls of this crate is told to it in turn; nothing that returns
/// at once can hang. But it must not wait for a session, a store or a task: the commit that it is told of may be what that
/// waits for.
///
/// **A panic in it changes nothing**: the session is saved or ended all the same, other observers are told, it is told
/// of what comes next, and the first panic of each is a `tracing` event (target `session_layer::observer`, level error).
/// (Where panics abort the process, this one does as well.)
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, event: &Event<'_>) {
        (**self).observe(event);
    }
}

/// Both are told, the first one first. If that one panics, the second is not told of this event: give each to
/// [`observe`](crate::SessionLayerBuilder::observe) by itself.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, event: &Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }
}
