//! Observers that panic or call back. They are called with no lock held, and their panics are caught.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use http::StatusCode;
use session_layer::{
    Event, MemoryStore, ObservedStore, Observer, Session, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, FaultStore},
    },
    id::SessionToken,
};

use crate::support::*;

#[tokio::test]
async fn a_panic_is_reported_once_and_the_other_observers_are_called() {
    let (traced, _kept) = Traced::keep();
    let (first, seen) = (Arc::new(Panicking::default()), Seen::default());
    let layer =
        SessionLayer::builder(MemoryStore::new()).observe(Arc::clone(&first)).observe(seen.clone()).build().unwrap();
    for _ in 0..3 {
        send(&layer, &[], async |_: Session| ()).await;
    }
    assert_eq!(first.count(), 3, "it still gets later events");
    assert_eq!(seen.all().len(), 3);
    let reports = traced.all("session_layer::observer");
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].starts_with("ERROR session_layer::observer an observer panicked"), "{reports:?}");
    assert!(reports[0].ends_with("event=\"no_session\""), "{reports:?}");
}

/// A panic payload can itself panic when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("and once more");
    }
}

#[tokio::test]
async fn a_panic_payload_that_panics_when_dropped_is_contained() {
    let observer = |_: &Event<'_>| resume_unwind(Box::new(Bomb));
    let layer = SessionLayer::builder(MemoryStore::new()).observe(observer).build().unwrap();
    let mut browser = Browser::new(layer);
    assert_eq!(browser.visit(async |session: Session| session.insert("n", 1)).await, StatusCode::OK);
    assert!(browser.cookie.is_some());
}

/// A second panic during unwinding aborts the process, unless it is caught before it leaves a destructor.
#[tokio::test]
async fn a_panic_while_another_one_unwinds_ends_nothing() {
    let panicking = Arc::new(Panicking::default());
    let store = FaultStore::new(MemoryStore::new());
    let layer = SessionLayer::builder(store.clone()).observe(Arc::clone(&panicking)).build().unwrap();
    let kept = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&kept);
    send(&layer, &[], async move |session: Session| {
        session.insert("n", 1).unwrap();
        *slot.lock().unwrap() = Some(session);
    })
    .await;
    let session = kept.lock().unwrap().take().unwrap();
    session.insert("n", 2).unwrap();
    let before = panicking.count();
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _dropped_by_the_panic = session;
        resume_unwind(Box::new("the handler's"));
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"the handler's"));
    assert_eq!(panicking.count(), before + 1, "the dropped changes were reported");

    store.inject(Fault::hanging().on(Operation::Load));
    let observed = ObservedStore::new(store, Arc::clone(&panicking));
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let id = SessionToken::generate().unwrap().identify("sid").0;
        let mut call = Box::pin(observed.load(&id));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        resume_unwind(Box::new("the handler's"));
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"the handler's"));
    assert_eq!(panicking.count(), before + 2, "the dropped call was reported");
}

/// Calls the store and the session at each event. If a lock were held meanwhile, this would deadlock.
#[derive(Default)]
struct Curious {
    store: OnceLock<MemoryStore>,
    session: Mutex<Option<Session>>,
    asked: AtomicU64,
}

impl Observer for Curious {
    fn observe(&self, _: &Event<'_>) {
        if let Some(store) = self.store.get() {
            // It locks every shard.
            std::hint::black_box(store.statistics());
        }
        let session = self.session.lock().unwrap().clone();
        if let Some(session) = session {
            assert!(session.keys().len() <= 1);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn no_lock_is_held_while_observers_are_called() {
    let (curious, clock, seen) = (Arc::new(Curious::default()), clock(), Seen::default());
    let builder = MemoryStore::builder().capacity(2).clock(clock.clone());
    let store = builder.observe(Arc::clone(&curious)).observe(seen.clone()).open().unwrap();
    curious.store.set(store.clone()).unwrap();
    let layer = SessionLayer::builder(store)
        .clock(clock.clone())
        .observe(Arc::clone(&curious))
        .observe(seen.clone())
        .build()
        .unwrap();
    let mut browser = Browser::new(layer.clone());
    let slot = Arc::clone(&curious);
    browser
        .visit(async move |session: Session| {
            session.insert("n", 1)?;
            *slot.session.lock().unwrap() = Some(session);
            Ok::<_, session_layer::Error>(())
        })
        .await;
    let slot = Arc::clone(&curious);
    browser
        .visit(async move |session: Session| {
            *slot.session.lock().unwrap() = Some(session.clone());
            session.destroy()
        })
        .await;
    for _ in 0..3 {
        send(&layer, &[], async |session: Session| session.insert("n", 1)).await;
    }
    clock.advance(60 * MINUTE);
    layer.sessions().sweep().await.unwrap();
    curious.session.lock().unwrap().take();
    let told = seen.all();
    for name in ["created", "destroyed", "evicted", "expired", "swept"] {
        assert!(told.iter().any(|line| line.starts_with(name)), "{name}: {told:?}");
    }
    assert_eq!(curious.asked.load(Ordering::SeqCst), told.len() as u64, "none of its assertions failed");
}

#[tokio::test]
async fn a_pair_and_an_arc_are_observers() {
    let (one, two) = (Seen::default(), Seen::default());
    let pair: Arc<dyn Observer> = Arc::new((one.clone(), Arc::new(two.clone())));
    let layer = SessionLayer::builder(MemoryStore::new()).observe(pair).build().unwrap();
    send(&layer, &[], async |_: Session| ()).await;
    assert_eq!(one.all(), ["no_session (no cookie)"]);
    assert_eq!(two.all(), ["no_session (no cookie)"]);
}
