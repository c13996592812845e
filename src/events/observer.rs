//! The `Observer` trait.

use std::sync::Arc;

use super::Event;

/// Receives the events of sessions and stores, at the moment they happen.
///
/// Give an observer to a layer with [`SessionLayerBuilder::observe`](crate::SessionLayerBuilder::observe). Events of
/// the store itself (evictions, sweeps, a cache's hits) go to the observer in the store's own settings. To observe
/// both, put the observer into an `Arc`. Every closure `Fn(&Event<'_>)` is an observer, and so is a pair of observers.
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
/// # Rules for observers
///
/// An observer is called in the middle of requests, on any thread, and possibly on several at once. Keep it quick:
/// count, or send to a channel. It may call this crate, and it then receives the events of that call; no lock is held
/// meanwhile. It must not block on a session, a store or a task, which may itself be waiting for the commit that is
/// being reported.
///
/// **A panic in an observer changes nothing**: the session is saved or ended all the same, and all observers, this one
/// included, receive the events that follow. The first panic of each observer is a `tracing` event (target
/// `session_layer::observer`, level error). If the program is built with `panic = "abort"`, the process aborts.
pub trait Observer: Send + Sync + 'static {
    /// Called for each event.
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

/// Calls both, in order. If the first one panics, the second one misses this event: pass each to
/// [`observe`](crate::SessionLayerBuilder::observe) on its own to avoid that.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, event: &Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }
}
