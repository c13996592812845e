//! Interactions of a session's clones, the request's final commit, and streams.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use session_layer::{
    Error, ErrorKind, Session, SessionId, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, Gate, Step},
    },
    store::{Listing, StoreErrorKind},
};
use tokio::time::timeout;

use crate::support::*;

/// More time than any test here needs.
const LIMIT: Duration = Duration::from_secs(30);

/// Passes a value between a handler and the test, such as a clone of the session.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn with(value: T) -> Self {
        let slot = Self::new();
        slot.put(value);
        slot
    }

    fn put(&self, value: T) {
        *self.0.lock().unwrap() = Some(value);
    }

    fn take(&self) -> T {
        self.0.lock().unwrap().take().unwrap()
    }
}

/// Stores a session's record again unchanged, so that its version changes.
async fn bump(site: &Site, id: &SessionId) {
    let held = site.stored(id).await.unwrap();
    site.store.inner().update(id, &held.record, &held.version, held.usage()).await.unwrap();
}

/// Formats the error's kind or the value.
fn told<T: Debug>(outcome: Result<T, Error>) -> String {
    format!("{:?}", outcome.map_err(|error| error.kind()))
}

/// The final commit is renewing the session at the store when the change is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_exact_change_during_the_final_commit_waits_for_it_and_completes() {
    for takes in [false, true] {
        let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
        let mut jar = site.visitor().await;
        site.clock.advance(3 * MINUTE);
        let gate = site.store.pause(Operation::Rename, Step::Before);
        let slot = Slot::new();
        let left = slot.clone();
        let sending = tokio::spawn(site.send(&jar, async move |session: Session| {
            left.put(session);
            ok()
        }));
        timeout(LIMIT, gate.reached()).await.unwrap();
        let session: Session = slot.take();
        let clone = session.clone();
        let changing = tokio::spawn(async move {
            if takes {
                clone.take_now::<u32>("n").await.map(Option::unwrap)
            } else {
                let add = |n: &mut u32| {
                    *n += 1;
                    *n
                };
                clone.update_now("c", add).await
            }
        });
        let begun = async {
            while if takes { session.contains("n") } else { !session.contains("c") } {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, begun).await.unwrap();
        gate.release();
        let reply = timeout(LIMIT, sending).await.expect("the response comes").unwrap();
        let changed = timeout(LIMIT, changing).await.expect("the change ends").unwrap();
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{takes}");
        assert_eq!(changed.unwrap(), 1, "{takes}");
        jar.absorb(&reply);
        let (n, c) = if takes { (None, None) } else { (Some("1"), Some("1")) };
        assert_eq!(site.entry(&jar, "n").await.as_deref(), n, "{takes}");
        assert_eq!(site.entry(&jar, "c").await.as_deref(), c, "{takes}");
    }
}

fn increment(n: &mut u32) -> u32 {
    *n += 1;
    *n
}

/// One commit carries both changes and isn't answered, so neither caller may treat its change as done.
#[tokio::test]
async fn of_two_exact_changes_in_one_unanswered_commit_neither_is_acknowledged() {
    for (fault, stored) in [(Fault::outcome_unknown(), Some("1")), (Fault::error(StoreErrorKind::OutcomeUnknown), None)]
    {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(fault.clone().on(Operation::Update).nth(1));
        let reply = site
            .send(&jar, async |session: Session| {
                let (a, b) = tokio::join!(session.update_now("a", increment), session.update_now("b", increment));
                format!("{} {}", told(a), told(b))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{fault:?}");
        assert_eq!(reply.body, "Err(OutcomeUnknown) Err(OutcomeUnknown)", "{fault:?}");
        for key in ["a", "b"] {
            assert_eq!(site.entry(&jar, key).await.as_deref(), stored, "{fault:?} {key}");
        }
    }
}

#[tokio::test]
async fn a_value_taken_in_anothers_unanswered_commit_is_given_at_most_once() {
    for (fault, second) in
        [(Fault::outcome_unknown(), "None"), (Fault::error(StoreErrorKind::OutcomeUnknown), "Some(1)")]
    {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(fault.clone().on(Operation::Update).nth(1));
        let reply = site
            .send(&jar, async |session: Session| {
                let (a, n) = tokio::join!(session.update_now("a", increment), session.take_now::<u32>("n"));
                format!("{} {}", told(a), told(n))
            })
            .await;
        assert_eq!(reply.body, "Err(OutcomeUnknown) Err(OutcomeUnknown)", "{fault:?}");
        let take = async |session: Session| Ok::<_, Error>(format!("{:?}", session.take_now::<u32>("n").await?));
        assert_eq!(site.send(&jar, take).await.body, second, "{fault:?}");
        assert_eq!(site.send(&jar, take).await.body, "None", "{fault:?}");
    }
}

/// A stream changes the session and saves, while the final commit waits behind a `save` of the handler's clone or is at
/// the store itself.
#[tokio::test]
async fn a_save_during_the_final_commit_is_acknowledged_only_if_it_was_stored() {
    let faults = [
        None,
        Some(Fault::unavailable()),
        Some(Fault::outcome_unknown()),
        Some(Fault::error(StoreErrorKind::OutcomeUnknown)),
    ];
    for fault in &faults {
        for logs_in in [false, true] {
            for behind_a_save in [false, true] {
                for runs in [false, true] {
                    save_beside_the_final_commit(fault.as_ref(), logs_in, behind_a_save, runs).await;
                }
            }
        }
    }
}

async fn save_beside_the_final_commit(fault: Option<&Fault>, logs_in: bool, behind_a_save: bool, runs: bool) {
    let place = format!("login {logs_in}, behind a save {behind_a_save}, closure {runs}, {fault:?}");
    let site = Site::new();
    let mut jar = site.visitor().await;
    let at = if behind_a_save { Operation::Update } else { Operation::Rename };
    let gate = site.store.pause(at, Step::Before);
    let slot = Slot::new();
    let left = slot.clone();
    let answered = Stop::new();
    let going = answered.clone();
    let sending = tokio::spawn(site.send(&jar, async move |session: Session| {
        left.put(session.clone());
        if behind_a_save {
            session.insert("first", 1)?;
            let saving = session.clone();
            tokio::spawn(async move { saving.save().await });
        }
        going.here().await;
        if logs_in {
            session.login("ada")?
        } else {
            session.renew()?
        }
        ok()
    }));
    answered.reached().await;
    if behind_a_save {
        gate.reached().await;
    }
    answered.go();
    let session: Session = slot.take();
    if !behind_a_save {
        gate.reached().await;
    }
    // All tasks share this thread. After these turns of the scheduler, the handler has answered.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::ResponseStarted, "{place}");
    if let Some(fault) = fault {
        site.store.inject(fault.clone().on(Operation::Rename).nth(1));
    }
    if runs {
        session.update("second", increment).unwrap();
    } else {
        session.insert("second", 1).unwrap();
    }
    let saver = session.clone();
    let saving = tokio::spawn(async move { saver.save().await });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    gate.release();
    let reply = sending.await.unwrap();
    let saved = saving.await.unwrap();
    jar.absorb(&reply);
    let stored = site.entry(&jar, "second").await;
    assert_eq!(stored.as_deref(), saved.is_ok().then_some("1"), "{place}: {saved:?} {}", reply.status);
    if fault.is_none() {
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{place}");
        saved.unwrap();
    }
}

#[tokio::test]
async fn a_write_during_a_save_that_fails_makes_the_failure_the_answer() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = Slot::with(site.store.pause(Operation::Update, Step::Before));
    let (twin, id) = (site.clone(), jar.id());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("first", 1)?;
            let clone = session.clone();
            let saving = tokio::spawn(async move { clone.save().await });
            let gate: Gate = gate.take();
            gate.reached().await;
            session.login("ada")?;
            session.insert("second", 1)?;
            bump(&twin, &id).await;
            // The save's second attempt, after the conflict.
            twin.store.inject(Fault::unavailable().on(Operation::Update));
            gate.release();
            assert_eq!(saving.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.sets_no_cookie());
    for (key, value) in [("n", Some("1")), ("first", None), ("second", None)] {
        assert_eq!(site.entry(&jar, key).await.as_deref(), value, "{key}");
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 1);
}

/// The stream writes before the failure or after it.
#[tokio::test]
async fn a_periodic_renewal_that_fails_drops_nothing_that_a_stream_writes() {
    let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
    let jar = site.visitor().await;
    site.clock.advance(3 * MINUTE);
    let gate = site.store.pause(Operation::Rename, Step::Before);
    let slot = Slot::new();
    let left = slot.clone();
    let sending = tokio::spawn(site.send(&jar, async move |session: Session| {
        left.put(session);
        ok()
    }));
    gate.reached().await;
    let session: Session = slot.take();
    session.insert("x", 1).unwrap();
    bump(&site, &jar.id()).await;
    site.store.inject(Fault::unavailable().on(Operation::Rename).first(1));
    gate.release();
    let reply = sending.await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.sets_no_cookie());
    session.insert("y", 1).unwrap();
    session.save().await.unwrap();
    for key in ["n", "x", "y"] {
        assert_eq!(site.entry(&jar, key).await.as_deref(), Some("1"), "{key}");
    }
}

/// A stream writes after the handler has answered and before the final commit begins. Or it even saves at that moment,
/// which performs the renewal. The handler requested neither.
#[tokio::test]
async fn a_periodic_renewal_that_fails_together_with_a_streams_change_leaves_the_answer_as_it_is() {
    for saves in [false, true] {
        let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
        let jar = site.visitor().await;
        site.clock.advance(3 * MINUTE);
        site.store.inject(Fault::unavailable().on(Operation::Rename));
        let (answering, slot) = (Stop::new(), Slot::new());
        let (stream, left) = (answering.clone(), slot.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                left.put(session.clone());
                let writing = stream.clone();
                tokio::spawn(async move {
                    writing.here().await;
                    assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::ResponseStarted);
                    session.insert("x", 1).unwrap();
                    if saves {
                        // On this thread, the final commit would begin first.
                        let save = move || {
                            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                            runtime.block_on(session.save()).unwrap_err().kind()
                        };
                        assert_eq!(std::thread::spawn(save).join().unwrap(), ErrorKind::Unavailable);
                    }
                });
                stream.reached().await;
                // All tasks are on this thread, so the stream's is next.
                stream.go();
                ok()
            })
            .await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "ok"), "{saves}");
        assert!(reply.sets_no_cookie(), "{saves}");
        assert!(site.store.calls(Operation::Rename) > 0, "{saves}: it was tried");
        site.store.heal();
        let session: Session = slot.take();
        assert_eq!(session.get("x").unwrap(), Some(1), "{saves}: the stream has written");
        session.save().await.unwrap();
        assert_eq!(site.entry(&jar, "x").await.as_deref(), Some("1"), "{saves}: and can still save");
    }
}

/// The handler's own change was saved by then. A later change of the same entry is the stream's.
#[tokio::test]
async fn a_periodic_renewal_that_fails_after_a_save_beside_it_leaves_the_answer_as_it_is() {
    for writes in [false, true] {
        let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
        let jar = site.visitor().await;
        site.clock.advance(3 * MINUTE);
        let gate = site.store.pause(Operation::Update, Step::Before);
        let slot = Slot::new();
        let left = slot.clone();
        let sending = tokio::spawn(site.send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            left.put(session.clone());
            tokio::spawn(async move { session.save().await });
            tokio::task::yield_now().await;
            ok()
        }));
        gate.reached().await;
        let session: Session = slot.take();
        turns(20).await;
        assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::ResponseStarted);
        if writes {
            session.insert("n", 3).unwrap();
        }
        site.store.inject(Fault::unavailable().on(Operation::Rename));
        gate.release();
        let reply = sending.await.unwrap();
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "ok"), "{writes}");
        assert!(site.store.calls(Operation::Rename) > 0, "{writes}: it was tried");
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"), "{writes}");
        site.store.heal();
        session.save().await.unwrap();
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some(if writes { "3" } else { "2" }), "{writes}");
    }
}

/// A stream's change of the same entry does not take the place of the handler's.
#[tokio::test]
async fn a_handlers_change_that_is_not_stored_is_the_answers_failure_also_where_a_stream_has_overwritten_it() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let slot = Slot::new();
    let left = slot.clone();
    let sending = tokio::spawn(site.send(&jar, async move |session: Session| {
        session.insert("first", 1)?;
        let saving = session.clone();
        tokio::spawn(async move { saving.save().await });
        turns(10).await;
        session.insert("n", 2)?;
        left.put(session);
        ok()
    }));
    gate.reached().await;
    // The final commit waits for that save.
    turns(20).await;
    let session: Session = slot.take();
    assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::ResponseStarted);
    session.insert("n", 3).unwrap();
    site.store.inject(Fault::unavailable().on(Operation::Update));
    gate.release();
    let reply = sending.await.unwrap();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    site.store.heal();
    assert_eq!(session.get("n").unwrap(), Some(3));
    session.save().await.unwrap();
    assert_eq!(site.entry(&jar, "first").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("3"));
}

/// Lets the other tasks of this thread run for a while.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_extends_a_renewed_session_and_learns_of_its_end() {
    let site = Site::new();
    let jar = site.visitor().await;
    let mut newer = jar.clone();
    let (slot, renewal) = (Slot::new(), Slot::new());
    let (left, renewed) = (slot.clone(), renewal.clone());
    let (twin, other) = (site.clone(), jar.clone());
    site.send(&jar, async move |session: Session| {
        renewed.put(twin.send(&other, async |session: Session| session.renew()).await);
        left.put(session);
        ok()
    })
    .await;
    newer.absorb(&renewal.take());
    assert_ne!(newer.value, jar.value);
    let session: Session = slot.take();
    site.clock.advance(30 * MINUTE);
    let before = site.stored(&newer.id()).await.unwrap().expires_at;
    session.touch_now().await.unwrap();
    assert_eq!(site.stored(&newer.id()).await.unwrap().expires_at, before + 30 * MINUTE);
    site.send(&newer, async |session: Session| session.destroy()).await;
    // As with the old token: the session was replaced, and its replacement has ended.
    assert_eq!(session.touch_now().await.unwrap_err().kind(), ErrorKind::Superseded);
}

/// At the end of the request nothing is left to write: the request's own renewal does not count as a token that waits
/// for its first use.
#[tokio::test]
async fn a_renewal_that_was_saved_in_the_handler_is_written_once() {
    let site = Site::with(|builder| builder.renew_every(HOUR));
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |session: Session| {
            session.renew()?;
            session.save().await?;
            ok()
        })
        .await;
    assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1));
    let calls = [Operation::Rename, Operation::Update, Operation::Touch].map(|operation| site.store.calls(operation));
    assert_eq!(calls, [1, 0, 0]);
}

/// A spawned `save` is moving the session to a new token when the handler answers. The response carries the new cookie.
#[tokio::test]
async fn a_response_waits_for_the_cookie_of_a_save_under_way() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::After);
    let shared = Arc::new(Mutex::new(Some(gate)));
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.renew()?;
            let gate = shared.lock().unwrap().take().unwrap();
            tokio::spawn(async move { session.save().await });
            gate.reached().await;
            tokio::spawn(async move { gate.release() });
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1, "a session that nobody has the token of");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

/// A spawned `save` is creating the session when the handler answers 5xx. The response carries the cookie, since the
/// save is not undone.
#[tokio::test]
async fn a_5xx_waits_for_the_cookie_of_a_save_under_way() {
    let site = Site::new();
    let mut jar = site.jar();
    let gate = site.store.pause(Operation::Create, Step::After);
    let shared = Arc::new(Mutex::new(Some(gate)));
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.insert("n", 1).unwrap();
            let gate = shared.lock().unwrap().take().unwrap();
            tokio::spawn(async move { session.save().await });
            gate.reached().await;
            tokio::spawn(async move { gate.release() });
            StatusCode::INTERNAL_SERVER_ERROR
        })
        .await;
    assert_eq!(reply.cookies().len(), 1, "a session that nobody has the token of");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}
