//! The registered observers of a layer or a store.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Event, EventKind, Observer, trace};

/// The observers of a layer or a store. Without observers, emitting costs one comparison.
#[derive(Clone)]
pub(crate) struct Observers {
    store: &'static str,
    all: Option<Arc<[Arc<Listener>]>>,
}

struct Listener {
    observer: Box<dyn Observer>,
    /// Whether its first panic was reported.
    has_panicked: AtomicBool,
}

impl Observers {
    /// No observers.
    pub(crate) const NONE: Self = Self { store: "custom", all: None };

    /// Adds an observer.
    pub(crate) fn add(&mut self, observer: impl Observer) {
        let listener = Arc::new(Listener { observer: Box::new(observer), has_panicked: AtomicBool::new(false) });
        self.all = Some(self.all.iter().flat_map(|all| all.iter().cloned()).chain([listener]).collect());
    }

    /// The same observers, for events of this kind of store.
    #[must_use]
    pub(crate) fn of(mut self, store: &'static str) -> Self {
        self.store = store;
        self
    }

    /// Whether there are no observers.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_none()
    }

    /// Whether `tracing` or an observer is interested in the reason for a missing session.
    pub(crate) fn hear_reasons(&self) -> bool {
        !self.is_empty() || trace::wants_reasons()
    }

    /// Emits an event through `tracing` and to the observers.
    #[inline]
    pub(crate) fn emit(&self, kind: EventKind<'_>) {
        trace::trace(&kind);
        self.notify(kind);
    }

    /// Notifies the observers of an event that is not traced, or that its store traces in its own words.
    #[inline]
    pub(crate) fn notify(&self, kind: EventKind<'_>) {
        if let Some(all) = &self.all {
            notify_all(all, &Event { store: self.store, kind });
        }
    }
}

/// Kept out of line, so that requests without observers stay fast.
#[cold]
fn notify_all(all: &[Arc<Listener>], event: &Event<'_>) {
    all.iter().for_each(|listener| listener.notify(event));
}

impl Listener {
    fn notify(&self, event: &Event<'_>) {
        // A panic can leave only the observer's own state inconsistent: it gets this crate's data by shared reference.
        let observed = catch_unwind(AssertUnwindSafe(|| self.observer.observe(event)));
        let Err(payload) = observed else { return };
        // The panic's payload may panic when it is dropped. In that case it is leaked.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
        if !self.has_panicked.swap(true, Ordering::Relaxed) {
            trace::observer_panicked(event.name());
        }
    }
}

impl Default for Observers {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("count", &self.all.as_ref().map_or(0, |all| all.len()))
            .finish_non_exhaustive()
    }
}
