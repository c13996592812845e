//! The events of the two wrappers, at the documented levels, without values or names.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use session_layer::{
    CachedStore, Clock, EncryptedStore, KeyRing, MemoryStore, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, FaultStore},
    },
    store::{CacheConfig, Usage},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
    subscriber::DefaultGuard,
};

use crate::{
    kit::{ring, secret},
    sealed::{create, id, record, start},
};

/// Records the events of one target on this thread.
#[derive(Clone)]
struct Keeper(&'static str, Arc<Mutex<Vec<(Level, String)>>>);

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.0
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.1.lock().unwrap().push((*event.metadata().level(), text.message + &text.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Keeper {
    fn of(target: &'static str) -> (Self, DefaultGuard) {
        let keeper = Self(target, Arc::default());
        let guard = tracing::subscriber::set_default(keeper.clone());
        (keeper, guard)
    }

    /// The events since the last call.
    fn told(&self) -> Vec<(Level, String)> {
        let told = std::mem::take(&mut *self.1.lock().unwrap());
        for (_, text) in &told {
            assert!(!text.contains("a value") && !text.contains("bob"), "{text}");
        }
        told
    }
}

fn cached(settings: CacheConfig) -> CachedStore<FaultStore<MemoryStore>> {
    let clock = Clock::manual(start());
    let inner = FaultStore::new(MemoryStore::with_clock(clock.clone())).posing_as("away", false);
    CachedStore::with_config(inner, settings.clock(clock))
}

#[tokio::test]
async fn the_cache_reports_hits_misses_evictions_and_failures() {
    let (keeper, _guard) = Keeper::of("session_layer::store::cached");
    let (a, b) = (id("a"), id("b"));
    let store = cached(CacheConfig::new().capacity(1));
    let version = create(&store, &a, record("a value")).await;
    assert_eq!(keeper.told(), [], "a write is the inner store's to tell");

    store.load(&a).await.unwrap().unwrap();
    assert_eq!(keeper.told(), [(Level::TRACE, format!("hit id={a} validated=true"))]);
    // Changed or removed behind the cache's back: the cached copy was stale.
    let changed = Arc::new(record("another"));
    store.inner().inner().update(&a, &changed, &version, Usage::at(&changed, start())).await.unwrap();
    store.load(&a).await.unwrap().unwrap();
    assert_eq!(keeper.told(), [(Level::TRACE, format!("miss id={a}"))]);
    store.inner().inner().remove(&a).await.unwrap();
    assert!(store.load(&a).await.unwrap().is_none());
    assert_eq!(keeper.told(), [(Level::TRACE, format!("miss id={a}"))]);
    assert!(store.load(&a).await.unwrap().is_none());
    assert_eq!(keeper.told(), [(Level::TRACE, format!("miss id={a}"))]);

    create(&store, &a, record("a value")).await;
    create(&store, &b, record("a value")).await;
    assert_eq!(keeper.told(), [(Level::INFO, "evicted sessions=1".to_owned())]);

    store.inner().inject(Fault::unavailable());
    for (id, before) in [(&a, Some((Level::TRACE, format!("miss id={a}")))), (&b, None)] {
        store.load(id).await.unwrap_err();
        let told = keeper.told();
        let failed = told.last().unwrap();
        assert!(failed.0 == Level::WARN && failed.1.starts_with(&format!("load failed id={id} error=")), "{failed:?}");
        assert!(told[..told.len() - 1].iter().eq(&before), "{told:?}");
    }
    let stats = store.statistics();
    assert_eq!((stats.hits, stats.misses, stats.evictions, stats.errors), (1, 4, 1, 2));
}

#[tokio::test]
async fn a_trusting_cache_reports_hits_without_asking_the_store() {
    let (keeper, _guard) = Keeper::of("session_layer::store::cached");
    let store = cached(CacheConfig::new().trusted(std::time::Duration::from_secs(60)));
    create(&store, &id("a"), record("a value")).await;
    store.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(keeper.told(), [(Level::TRACE, format!("hit id={} validated=false", id("a")))]);
    assert_eq!(store.inner().calls(Operation::Refresh), 0);
}

#[tokio::test]
async fn sealing_reports_records_that_do_not_open_and_resealed_ones() {
    let (keeper, _guard) = Keeper::of("session_layer::store::encrypted");
    let inner = MemoryStore::with_clock(Clock::manual(start()));
    let (a, b) = (id("a"), id("b"));
    let old = EncryptedStore::new(inner.clone(), ring());
    create(&old, &a, record("a value")).await;
    old.load(&a).await.unwrap().unwrap();
    assert_eq!(keeper.told(), [], "the inner store tells the rest");

    create(&inner, &b, record("a value")).await;
    let refused = |operation, what: &str| (Level::ERROR, format!("record not opened {operation} error={what}"));
    old.load(&b).await.unwrap_err();
    let [(level, text)] = &keeper.told()[..] else { panic!("one event") };
    assert_eq!(*level, Level::ERROR);
    assert!(text.starts_with(&format!("record not opened id={b} operation=\"load\" error=")), "{text}");

    let turned = EncryptedStore::new(inner.clone(), KeyRing::new(secret(2)).opening(secret(1)).unwrap());
    let resealed = turned.reseal_all().await.unwrap();
    assert_eq!((resealed.sealed, resealed.current, resealed.refused), (1, 0, 1));
    let mut told = keeper.told();
    told.sort();
    let plain = text.rsplit_once("error=").unwrap().1;
    assert_eq!(
        told,
        [
            refused(format!("id={b} operation=\"reseal\""), plain),
            (Level::INFO, "records resealed sealed=1 current=0 refused=1".to_owned()),
            (Level::DEBUG, format!("record resealed id={a}")),
        ]
    );
}
