//! Commits over a store that answers at once. What they store and answer is what the other tests show; here it is what
//! can come in between.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use session_layer::{
    DynStore, Error, ErrorKind, MemoryStore, SavePolicy, Session, SessionId, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{CallOutcome, FaultStore},
    },
    record::Record,
    store::{Create, StoreError, StoreErrorKind, Stored, Update, Usage, Version},
};
use tokio::sync::Semaphore;
use tracing::Level;

use crate::support::*;

/// Enough for all calls of a test.
const PERMITS: usize = 1_000;

type Hook = Box<dyn FnOnce() -> Option<StoreErrorKind> + Send>;

/// Answers writes at once, but runs a hook before the next one. The hook may make the write fail, or take the id of a
/// create. Counts the writes that were awaited.
#[derive(Clone)]
struct Hooked {
    inner: FaultStore<MemoryStore>,
    hook: Arc<Mutex<Option<Hook>>>,
    taken: Arc<Mutex<Option<SessionId>>>,
    awaited: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    /// An awaited update takes a permit of it.
    gate: Arc<Semaphore>,
}

impl Hooked {
    fn over(inner: FaultStore<MemoryStore>) -> Self {
        Self {
            inner,
            hook: Arc::default(),
            taken: Arc::default(),
            awaited: Arc::default(),
            at_once: Arc::default(),
            gate: Arc::new(Semaphore::new(PERMITS)),
        }
    }

    fn site() -> (Self, Site) {
        Self::site_with(SavePolicy::Changed)
    }

    fn site_with(policy: SavePolicy) -> (Self, Site) {
        let site = Site::new();
        let store = Self::over(site.store.clone());
        let site = Site::over(store.clone(), site.store.clone(), site.clock.clone(), |it| it.save_policy(policy));
        (store, site)
    }

    /// Runs this before the next write.
    fn before_write(&self, hook: impl FnOnce() -> Option<StoreErrorKind> + Send + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    fn awaited(&self) -> usize {
        self.awaited.swap(0, Ordering::SeqCst)
    }

    fn run_hook(&self) -> Result<(), StoreError> {
        let hook = self.hook.lock().unwrap().take();
        match hook.and_then(|hook| hook()) {
            Some(kind) => Err(StoreError::new(kind)),
            None => Ok(()),
        }
    }
}

impl SessionStore for Hooked {
    crate::forward::forward!(inner: load, touch, remove);

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        self.inner.create(id, record, usage).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await;
        self.inner.update(id, record, expected, usage).await
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.inner.try_load(id)
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        if let Some(taken) = &mut *self.taken.lock().unwrap() {
            *taken = *id;
            return Some(Ok(Create::Exists));
        }
        self.at_once.fetch_add(1, Ordering::SeqCst);
        Some(self.run_hook().and_then(|()| self.inner.try_create(id, record, usage).unwrap()))
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        self.at_once.fetch_add(1, Ordering::SeqCst);
        Some(self.run_hook().and_then(|()| self.inner.try_update(id, record, expected, usage).unwrap()))
    }

    fn answers_at_once(&self) -> bool {
        true
    }
}

/// Completes a future on another thread, while this one waits.
fn elsewhere<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap()
}

/// Another request sets an entry.
fn beside(site: &Site, jar: &Jar, key: &'static str) -> impl FnOnce() -> Option<StoreErrorKind> + use<> {
    let (store, clock, id) = (site.store.clone(), site.clock.clone(), jar.id());
    move || {
        elsewhere(async {
            let layer = SessionLayer::builder(store).clock(clock).build().unwrap();
            let session = layer.open_session(id).await.unwrap().unwrap();
            session.insert(key, "beside").unwrap();
            session.save().await.unwrap();
        });
        None
    }
}

#[tokio::test]
async fn a_create_and_an_update_await_nothing() {
    let (store, site) = Hooked::site();
    let mut jar = site.visitor().await;
    let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!((reply.status, reply.sets_no_cookie()), (StatusCode::OK, true));
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(store.awaited(), 0);
    // A login ends what an older token leads to, which is not done at once.
    site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 3)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.stored(&jar.id()).await.unwrap().record.owner().map(|owner| owner.name().as_ref()), Some("ada"));
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("3"));
}

/// An update that the store has refused is merged, and was not sent twice.
#[tokio::test]
async fn a_conflict_is_merged_and_the_update_is_made_once() {
    let (store, site) = Hooked::site();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    store.before_write(beside(&site, &jar, "other"));
    let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(site.entry(&jar, "other").await.as_deref(), Some("\"beside\""));
    assert_eq!(store.awaited(), 1, "after the merge");
    let updates = site.store.log().iter().filter(|call| call.operation == Operation::Update).count();
    assert_eq!(updates, 3, "the other request's, the refused one and the merged one");
    assert_eq!(events.count(Level::INFO, "conflicting changes merged"), 1, "{:?}", events.all());
}

#[tokio::test]
async fn a_conflict_over_an_entry_that_was_read_is_409() {
    let (store, site) = Hooked::site();
    let jar = site.visitor().await;
    store.before_write(beside(&site, &jar, "n"));
    let handler = async |session: Session| {
        let n = session.get::<u64>("n")?.unwrap_or_default();
        session.insert("n", n + 1)
    };
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::CONFLICT);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("\"beside\""));
}

#[tokio::test]
async fn a_session_that_ends_in_between_stays_ended() {
    let (store, site) = Hooked::site();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    let (other, id) = (site.store.clone(), jar.id());
    store.before_write(move || {
        assert!(elsewhere(other.remove(&id)).unwrap());
        None
    });
    let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::OK, "as if the write had come before the end");
    assert!(site.stored(&jar.id()).await.is_none());
    assert_eq!(store.awaited(), 0, "the answer is not asked for again");
    assert_eq!(events.count(Level::WARN, "write to a session that is gone was blocked"), 1, "{:?}", events.all());
}

/// A failure is that of the ordinary commit: it replaces the response, and the changes are dropped.
#[tokio::test]
async fn a_failed_write_replaces_the_response() {
    let (store, site) = Hooked::site();
    let mut jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    for (jar, event) in [(&mut jar, 1), (&mut site.jar(), 2)] {
        store.before_write(|| Some(StoreErrorKind::Unavailable));
        let reply = site.visit(jar, async |session: Session| session.insert("n", 2)).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.sets_no_cookie());
        assert_eq!(events.count(Level::ERROR, "session not committed"), event, "{:?}", events.all());
    }
    assert_eq!(store.awaited(), 0, "it is not tried again");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
    let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_taken_id_is_never_used() {
    let (store, site) = Hooked::site();
    let mut jar = site.jar();
    *store.taken.lock().unwrap() = Some(SessionId::for_epoch("none yet"));
    let reply = site.visit(&mut jar, async |session: Session| session.insert("n", 1)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_ne!(Some(jar.id()), *store.taken.lock().unwrap());
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
    assert_eq!(store.awaited(), 1);
}

/// Another handle of the request, such as a stream's, destroys the session during the call.
#[tokio::test]
async fn what_is_written_beside_a_destroy_ends() {
    let (store, site) = Hooked::site();
    for has_session in [false, true] {
        let mut jar = if has_session { site.visitor().await } else { site.jar() };
        let before = jar.clone();
        let created = Arc::new(Mutex::new(None));
        let hook = (store.clone(), Arc::clone(&created));
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.insert("n", 2)?;
                let clone = session.clone();
                let (store, created) = hook;
                store.before_write(move || {
                    *created.lock().unwrap() = Some(elsewhere(clone.destroy_now()));
                    None
                });
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(matches!(*created.lock().unwrap(), Some(Ok(was_there)) if was_there == has_session));
        let id = if has_session { before.id() } else { written(&site) };
        assert!(site.stored(&id).await.is_none(), "with a session: {has_session}");
        site.store.forget();
    }
}

/// The id of the one create since the log was emptied.
fn written(site: &Site) -> SessionId {
    let log = site.store.log();
    let create = log.iter().find(|call| call.operation == Operation::Create).expect("a create");
    assert_eq!(create.outcome, CallOutcome::Answered);
    create.id.expect("of a session")
}

/// A stream's change during the call is neither lost nor written with the handler's.
#[tokio::test]
async fn a_change_during_the_call_is_kept_for_the_next_save() {
    let (store, site) = Hooked::site();
    let jar = site.visitor().await;
    let kept = Arc::new(Mutex::new(None));
    let (hook, keep) = (store.clone(), Arc::clone(&kept));
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            let clone = session.clone();
            *keep.lock().unwrap() = Some(session);
            hook.before_write(move || {
                clone.insert("late", 1).unwrap();
                None
            });
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(site.entry(&jar, "late").await, None);
    let session: Session = kept.lock().unwrap().take().unwrap();
    assert_eq!(session.get::<u64>("late").unwrap(), Some(1));
    session.save().await.unwrap();
    assert_eq!(site.entry(&jar, "late").await.as_deref(), Some("1"));
}

/// A `save` of another handle is under way: the final commit waits for it.
#[tokio::test]
async fn a_commit_waits_for_another_of_the_same_request() {
    let (store, site) = Hooked::site();
    let jar = site.visitor().await;
    let (_, before) = (store.awaited(), store.at_once.load(Ordering::SeqCst));
    assert_eq!(store.gate.forget_permits(PERMITS), PERMITS);
    let awaited = Arc::clone(&store.awaited);
    let response = tokio::spawn(site.send(&jar, async move |session: Session| {
        session.insert("n", 2)?;
        let clone = session.clone();
        let saving = tokio::spawn(async move { clone.save().await });
        while awaited.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        session.insert("m", 3)?;
        drop(saving);
        Ok::<_, Error>("ok")
    }));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(store.awaited.load(Ordering::SeqCst) == 1 && !response.is_finished());
    assert_eq!(store.at_once.load(Ordering::SeqCst), before, "nothing was written past the save");
    store.gate.add_permits(PERMITS);
    assert_eq!(response.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(site.entry(&jar, "m").await.as_deref(), Some("3"));
}

/// A change that was reported as failed is not written by a commit at once either.
#[tokio::test]
async fn what_was_held_back_is_not_written_at_once() {
    // With this policy, the final commit writes even though nothing is changed any more.
    let (store, site) = Hooked::site_with(SavePolicy::Always);
    let jar = site.visitor().await;
    let hook = store.clone();
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            hook.inner.inject(session_layer::conformance::fault::Fault::unavailable().on(Operation::Update));
            assert_eq!(kind(session.save().await), ErrorKind::Unavailable);
            hook.inner.heal();
            session.insert("m", 3)?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "m").await, None);
}

/// The same requests, over a store that answers at once and over one that does not, leave the same calls.
#[tokio::test]
async fn the_calls_are_the_same_as_those_of_a_store_that_waits() {
    /// Answers nothing at once.
    #[derive(Clone)]
    struct Awaited(FaultStore<MemoryStore>);

    impl SessionStore for Awaited {
        crate::forward::forward!(0: load, create, update, touch, remove);
    }

    let run = async |over: &dyn Fn(FaultStore<MemoryStore>) -> DynStore| {
        let site = Site::new();
        let site = Site::over(over(site.store.clone()), site.store.clone(), site.clock.clone(), |builder| builder);
        let mut jar = site.jar();
        let mut replies = Vec::new();
        replies.push(site.visit(&mut jar, async |session: Session| session.insert("n", 1)).await);
        replies.push(site.visit(&mut jar, async |session: Session| session.insert("n", 1)).await);
        replies.push(site.visit(&mut jar, async |session: Session| session.update("n", |n: &mut u64| *n += 1)).await);
        replies.push(site.visit(&mut jar, async |session: Session| session.remove("n").map(|_| ())).await);
        let replies: Vec<_> = replies
            .into_iter()
            .map(|reply| {
                let cookies: Vec<_> = reply.cookies().iter().map(|line| line.len()).collect();
                (reply.status, cookies, reply.header("cache-control"), reply.header("vary"))
            })
            .collect();
        let calls: Vec<_> = site.store.log().into_iter().map(|call| (call.operation, call.outcome)).collect();
        (replies, calls)
    };
    let hooked = Mutex::new(None);
    let make = |store| {
        let store = Hooked::over(store);
        *hooked.lock().unwrap() = Some(store.clone());
        DynStore::new(store)
    };
    let at_once = run(&make).await;
    let store = hooked.into_inner().unwrap().unwrap();
    assert_eq!((store.awaited(), store.at_once.load(Ordering::SeqCst)), (0, 3), "all writes were at once");
    let awaited = run(&|store| DynStore::new(Awaited(store))).await;
    assert_eq!(at_once.0, awaited.0);
    assert_eq!(at_once.1, awaited.1);
}
