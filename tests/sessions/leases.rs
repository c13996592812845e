//! Leases held outside a request.

use std::time::Duration;

use session_layer::{
    ErrorKind, Key, SessionId,
    conformance::{Operation, fault::Step},
};

use crate::support::Site;

const N: Key<u64> = Key::new("n");
const LEASE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_lease_has_one_holder_until_it_is_released() {
    let site = Site::new();
    let (sessions, id) = (&site.sessions, site.member("ada").await);
    let lease = sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert_eq!((lease.id(), lease.until()), (id, site.clock.now() + LEASE));
    assert!(sessions.lease(&id, LEASE).await.unwrap().is_none());
    assert!(lease.release().await.unwrap());
    let mut lease = sessions.lease(&id, LEASE).await.unwrap().unwrap();
    site.clock.advance(LEASE / 2);
    assert!(lease.extend(LEASE).await.unwrap());
    site.clock.advance(LEASE / 2);
    assert!(sessions.lease(&id, LEASE).await.unwrap().is_none(), "it was extended");
    site.clock.advance(LEASE / 2);
    let other = sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert!(!lease.extend(LEASE).await.unwrap(), "it ran out, and another has it");
    assert!(!lease.release().await.unwrap());
    assert!(other.release().await.unwrap());
}

#[tokio::test]
async fn leasing_an_absent_session_and_releasing_an_unheld_lease_do_nothing() {
    let site = Site::new();
    assert!(site.sessions.lease(&SessionId::for_epoch("absent"), LEASE).await.unwrap().is_none());
    let id = site.member("ada").await;
    let holder = session_layer::store::Holder::from_u128(1);
    assert!(!site.sessions.release(&id, holder).await.unwrap());
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert!(!site.sessions.release(&id, holder).await.unwrap(), "another's");
    site.clock.advance(2 * LEASE);
    assert!(!lease.release().await.unwrap(), "it ran out");
    // Removing never waits, and a lease ends with its session.
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert!(site.sessions.end(&id).await.unwrap());
    assert!(!lease.release().await.unwrap());
    // A revoked session can't be leased. The id from before a renewal leases the renewed session.
    let id = site.member("ada").await;
    site.sessions.revoke_all("ada").await.unwrap();
    assert!(site.sessions.lease(&id, LEASE).await.unwrap().is_none());
    let id = site.member("ada").await;
    let session = site.sessions.open(&id).await.unwrap().unwrap();
    session.renew().unwrap();
    session.save().await.unwrap();
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert_eq!(Some(lease.id()), session.id());
    assert!(site.sessions.lease(&session.id().unwrap(), LEASE).await.unwrap().is_none(), "it is the same lease");
}

#[tokio::test]
async fn a_dropped_lease_is_released_and_goes_to_a_waiter() {
    let site = Site::new();
    let id = site.member("ada").await;
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    let sessions = site.sessions.clone();
    let waiter = tokio::spawn(async move { sessions.lease_within(&id, LEASE, LEASE).await });
    while site.store.calls(Operation::Released) == 0 {
        tokio::task::yield_now().await;
    }
    drop(lease);
    let lease = waiter.await.unwrap().unwrap().expect("its turn");
    // A kept lease outlives its guard, and its holder can release it from anywhere.
    let holder = lease.keep();
    tokio::task::yield_now().await;
    assert!(site.sessions.lease(&id, LEASE).await.unwrap().is_none());
    assert!(site.sessions.release(&id, holder).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded() {
    let site = Site::new();
    let id = site.member("ada").await;
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    let begun = tokio::time::Instant::now();
    assert!(site.sessions.lease_within(&id, LEASE, LEASE).await.unwrap().is_none());
    assert!(begun.elapsed() >= LEASE);
    assert!(lease.release().await.unwrap());
}

/// A time so long that it can't be added to an instant.
#[tokio::test]
async fn a_wait_without_a_limit_does_not_panic() {
    let site = Site::new();
    let id = site.member("ada").await;
    let lease = site.sessions.lease_within(&id, LEASE, Duration::MAX).await.unwrap().unwrap();
    assert!(lease.release().await.unwrap());
}

/// The future is dropped while the store is at work.
#[tokio::test]
async fn a_dropped_lease_call_leaves_no_lease() {
    let site = Site::new();
    let id = site.member("ada").await;
    let gate = site.store.pause(Operation::Acquire, Step::After);
    let sessions = site.sessions.clone();
    let task = tokio::spawn(async move { sessions.lease(&id, LEASE).await });
    gate.reached().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gate.release();
    while site.store.calls(Operation::Release) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    let lease = site.sessions.lease_within(&id, LEASE, LEASE).await.unwrap();
    assert!(lease.is_some());
}

/// A request without a lease does not wait. Its save merges, since a lease changes the version only.
#[tokio::test]
async fn a_save_under_way_merges() {
    let site = Site::new();
    let id = site.member("ada").await;
    let request = site.layer.open_session(id).await.unwrap().unwrap();
    request.update(N, |n| *n += 1).unwrap();
    let lease = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    request.save().await.unwrap();
    assert_eq!(site.sessions.get(&id, N).await.unwrap(), Some(2));
    assert!(lease.release().await.unwrap());
}

/// The holder's own save succeeds if nobody else has written, and never overwrites or merges after its time.
#[tokio::test]
async fn a_holder_whose_lease_ran_out_conflicts() {
    let site = Site::new();
    let id = site.member("ada").await;
    let first = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    let held = first.session().await.unwrap().unwrap();
    held.insert(N, &10).unwrap();
    held.save().await.unwrap();
    held.insert(N, &11).unwrap();
    site.clock.advance(2 * LEASE);
    let second = site.sessions.lease(&id, LEASE).await.unwrap().unwrap();
    assert_eq!(held.save().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(site.sessions.get(&id, N).await.unwrap(), Some(10));
    let held = second.session().await.unwrap().unwrap();
    // Nor over a request that has no lease.
    site.sessions.update(&id, N, |n| *n += 1).await.unwrap();
    held.insert(N, &12).unwrap();
    assert_eq!(held.save().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(site.sessions.get(&id, N).await.unwrap(), Some(11));
    assert!(second.release().await.unwrap());
}
