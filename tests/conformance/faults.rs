//! The fault store applies its faults to the calls that they select, and logs every call.

use std::sync::Arc;
use std::time::Duration;

use session_layer::{
    Lifetime, SessionId, SessionStore,
    conformance::{
        self, Operation,
        fault::{Bare, CallOutcome, Fault, FaultStore, Step},
    },
    id::{SessionToken, TokenCheck},
    record::{Epoch, Owner, Record, RecordKind},
    store::{Create, Listing, Owners, Refresh, Rename, StoreErrorKind, Stored, Touch, Update, Usage, Version},
};

use crate::reference::Reference;

struct Session {
    id: SessionId,
    record: Arc<Record>,
    usage: Usage,
}

fn store() -> FaultStore<Reference> {
    FaultStore::new(Reference::new(conformance::manual_clock()))
}

fn session() -> Session {
    let (id, check) = SessionToken::generate().unwrap().identify("sid");
    let now = conformance::manual_clock().now();
    let record = Record::session(check, now, Lifetime::default());
    Session { id, usage: Usage::at(&record, now), record: record.into() }
}

async fn create(store: &impl SessionStore) -> (Session, Version) {
    let session = session();
    match store.create(&session.id, &session.record, session.usage).await.unwrap() {
        Create::Created(version) => (session, version),
        Create::Exists => unreachable!("ids are random"),
    }
}

async fn load_kind(store: &impl SessionStore, id: &SessionId) -> Result<bool, StoreErrorKind> {
    store.load(id).await.map(|stored| stored.is_some()).map_err(|error| error.kind())
}

#[tokio::test]
async fn an_unavailable_store_does_nothing_and_recovers() {
    let store = store();
    let (session, _) = create(&store).await;
    store.inject(Fault::unavailable());
    let error = store.remove(&session.id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!((error.operation(), error.id()), (Some("remove"), Some(session.id)));
    assert_eq!(load_kind(&store, &session.id).await, Err(StoreErrorKind::Unavailable));
    assert_eq!(store.flush().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    store.heal();
    assert_eq!(load_kind(&store, &session.id).await, Ok(true));
}

#[tokio::test]
async fn calls_are_counted_from_the_injection_by_method_and_session() {
    let store = store();
    let ((one, _), (two, _)) = (create(&store).await, create(&store).await);
    load_kind(&store, &one.id).await.unwrap();
    store.inject(Fault::error(StoreErrorKind::Timeout).on(Operation::Load).session(&one.id).nth(2));
    let down = Err(StoreErrorKind::Timeout);
    assert_eq!(load_kind(&store, &one.id).await, Ok(true));
    assert_eq!(load_kind(&store, &two.id).await, Ok(true));
    assert_eq!(store.touch(&one.id, one.usage).await.unwrap(), Touch::Touched);
    assert_eq!(load_kind(&store, &one.id).await, down);
    assert_eq!(load_kind(&store, &one.id).await, Ok(true));

    store.inject(Fault::unavailable().on(Operation::Load).on(Operation::Touch).first(2));
    assert!(store.load(&two.id).await.is_err());
    assert!(store.touch(&two.id, two.usage).await.is_err());
    assert!(store.load(&two.id).await.is_ok());

    store.inject(Fault::unavailable().on(Operation::Count).after_first(1));
    assert_eq!(store.count().await.unwrap(), 2);
    assert!(store.count().await.is_err());
    assert!(store.count().await.is_err());
}

#[tokio::test]
async fn a_fault_afterwards_is_a_lost_answer() {
    let store = store();
    let (session, version) = create(&store).await;
    store.inject(Fault::outcome_unknown().on(Operation::Update).first(1));
    let error = store.update(&session.id, &session.record, &version, session.usage).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown);
    let again = store.update(&session.id, &session.record, &version, session.usage).await.unwrap();
    assert_eq!(again, Update::Conflict(None), "the first one was done");
    // The same answer, with nothing done.
    store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Remove));
    assert!(store.remove(&session.id).await.is_err());
    assert_eq!(load_kind(&store, &session.id).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn slow_and_hanging_are_of_tokios_time() {
    let store = store();
    let (session, _) = create(&store).await;
    store.inject(Fault::slow(Duration::from_secs(5)).on(Operation::Load));
    let start = tokio::time::Instant::now();
    assert_eq!(load_kind(&store, &session.id).await, Ok(true));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    store.heal();

    store.inject(Fault::hanging().on(Operation::Remove).afterwards());
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, store.remove(&session.id)).await.is_err());
    assert_eq!(load_kind(&store, &session.id).await, Ok(false), "it was done");
    assert_eq!(
        store.log().iter().find(|call| call.operation == Operation::Remove).unwrap().outcome,
        CallOutcome::Dropped
    );
}

#[tokio::test]
async fn records_come_back_corrupt_expired_foreign_or_altered() {
    let store = store();
    let (session, version) = create(&store).await;
    let held = store.load(&session.id).await.unwrap().unwrap();

    store.inject(Fault::corrupt());
    assert_eq!(load_kind(&store, &session.id).await, Err(StoreErrorKind::Corrupt));
    assert_eq!(store.refresh(&session.id, &held).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(store.touch(&session.id, session.usage).await.unwrap(), Touch::Touched);
    store.heal();

    store.inject(Fault::expired());
    let stored = store.load(&session.id).await.unwrap().unwrap();
    assert!(stored.is_expired(conformance::manual_clock().now()));
    assert_eq!(stored.version, version);
    match store.refresh(&session.id, &held).await.unwrap() {
        Refresh::Same { usage, .. } => assert_eq!(usage.expires_at, usage.used_at),
        other => panic!("the record is the held one: {other:?}"),
    }
    store.heal();

    store.inject(Fault::another_check());
    assert_ne!(store.load(&session.id).await.unwrap().unwrap().record.check(), session.record.check());
    assert!(matches!(store.refresh(&session.id, &held).await.unwrap(), Refresh::Changed(_)));
    store.heal();

    let owner = Owner::new("bob", Epoch::from_u64(1)).unwrap();
    let owned = (*session.record).clone().with_owner(Some(owner));
    store.update(&session.id, &owned.into(), &version, session.usage).await.unwrap();
    assert_eq!(store.list_owner("bob").await.unwrap().len(), 1);
    store.inject(Fault::alter(|_: Stored| None));
    assert_eq!(store.list_owner("bob").await.unwrap().len(), 0);
    assert_eq!(load_kind(&store, &session.id).await, Ok(false));
    assert!(matches!(store.refresh(&session.id, &held).await.unwrap(), Refresh::Gone));
    // Only loads, if the fault selects them.
    store.heal();
    store.inject(Fault::another_check().on(Operation::Load));
    assert_eq!(
        store.list_owner("bob").await.unwrap()[0].stored.as_ref().unwrap().record.check(),
        session.record.check()
    );
    assert_eq!(session.record.check(), TokenCheck::from_bytes(session.record.check().to_bytes()));
}

/// The interleaving of K1 (SECURITY.md), forced: the session is removed while an update has compared its version, but
/// not yet written.
#[tokio::test]
async fn a_gate_makes_an_interleaving_certain() {
    let store = store();
    let (session, version) = create(&store).await;
    for (step, expected) in [(Step::Before, Update::Gone), (Step::After, Update::Conflict(None))] {
        let gate = store.pause(Operation::Update, step);
        assert!(!gate.is_reached());
        let (slow, id) = (store.clone(), session.id);
        let (record, usage) = (session.record.clone(), session.usage);
        let update = tokio::spawn(async move { slow.update(&id, &record, &version, usage).await });
        gate.reached().await;
        assert!(gate.is_reached());
        assert_eq!(store.log().last().unwrap().outcome, CallOutcome::Pending);
        if step == Step::Before {
            assert!(store.remove(&session.id).await.unwrap());
            gate.release();
            assert_eq!(update.await.unwrap().unwrap(), expected);
            store.create(&session.id, &session.record, session.usage).await.unwrap();
        } else {
            // The next call of the method isn't stopped, since only one call is paused.
            let second = store.update(&session.id, &session.record, &version, session.usage).await.unwrap();
            assert_eq!(second, expected);
            gate.release();
            update.await.unwrap().unwrap();
        }
        assert_eq!(load_kind(&store, &session.id).await, Ok(true));
    }
}

#[tokio::test]
async fn a_gate_that_is_dropped_lets_go_of_all() {
    let store = store();
    let (pause, gate) = Fault::pause();
    store.inject(pause.on(Operation::Count));
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.count().await })
        })
        .collect();
    gate.reached().await;
    drop(gate);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 0);
    }
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test]
async fn the_log_tells_every_call_and_its_end() {
    let store = store();
    let (session, _) = create(&store).await;
    drop(store.load(&session.id));
    assert_eq!(store.calls(Operation::Load), 0, "a future that is never polled is no call");
    store.inject(Fault::unavailable().on(Operation::Touch));
    let _ = store.touch(&session.id, session.usage).await;
    store.count().await.unwrap();
    let log: Vec<_> = store.log().into_iter().map(|call| (call.operation, call.id, call.outcome)).collect();
    assert_eq!(
        log,
        [
            (Operation::Create, Some(session.id), CallOutcome::Answered),
            (Operation::Touch, Some(session.id), CallOutcome::Failed(StoreErrorKind::Unavailable)),
            (Operation::Count, None, CallOutcome::Answered),
        ]
    );
    assert_eq!(store.total(), 3);
    // A call that began before the log was emptied does not write into the new one.
    let gate = store.pause(Operation::Load, Step::Before);
    let (slow, id) = (store.clone(), session.id);
    let load = tokio::spawn(async move { slow.load(&id).await });
    gate.reached().await;
    store.forget();
    store.inject(Fault::hanging().on(Operation::Flush));
    let waits = store.clone();
    let hanging = tokio::spawn(async move { waits.flush().await });
    while store.total() == 0 {
        tokio::task::yield_now().await;
    }
    gate.release();
    load.await.unwrap().unwrap();
    assert_eq!(store.log()[0].outcome, CallOutcome::Pending);
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    assert_eq!(store.log()[0].outcome, CallOutcome::Dropped);
}

/// K15 (SECURITY.md): whichever step of the provided rename fails, one live session is left, either the old one or the
/// new one.
#[tokio::test]
async fn k15_each_step_of_a_provided_rename_can_fail() {
    for afterwards in [false, true] {
        for step in 1..=3 {
            let faults = store();
            let store = Bare(faults.clone());
            let (from, version) = create(&store).await;
            let to = session();
            let tombstone = Arc::new(Record::plain_tombstone(from.record.check(), to.usage.used_at));
            let fault = Fault::outcome_unknown().nth(step);
            let fault = if afterwards { fault } else { fault.at(Step::Before) };
            faults.inject(fault);
            faults.forget();
            let answer = store.rename(&from.id, &version, &tombstone, &to.id, &to.record, to.usage).await;
            faults.heal();
            let kind = async |id| store.load(id).await.unwrap().map(|stored| stored.record.kind());
            let (old, new) = (kind(&from.id).await, kind(&to.id).await);
            let calls: Vec<_> = faults.log().iter().map(|call| call.operation).collect();
            assert_eq!(calls.first(), Some(&Operation::Load), "{calls:?}");
            match answer {
                Ok(Rename::Renamed(_)) => {
                    assert_eq!((old, new), (Some(RecordKind::Tombstone), Some(RecordKind::Session)));
                }
                Ok(other) => panic!("nobody else is there: {other:?}"),
                Err(_) => assert_eq!(old, Some(RecordKind::Session), "step {step}, afterwards: {afterwards}"),
            }
        }
    }
}
