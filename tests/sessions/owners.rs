//! An owner's sessions, without concurrent requests.

use std::time::Duration;

use session_layer::{
    AtLimit, ConflictPolicy, DEVICE, ErrorKind, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    store::{Owners, StoreErrorKind},
};

use crate::support::Site;

#[tokio::test]
async fn an_owners_sessions_are_listed() {
    let site = Site::new();
    let (first, second) = (site.member("ada").await, {
        site.clock.advance(Duration::from_secs(60));
        site.member("ada").await
    });
    site.member("bob").await;
    let session = site.sessions.open(&first).await.unwrap().unwrap();
    session.insert(DEVICE, &"Firefox on Debian".to_owned()).unwrap();
    site.clock.advance(Duration::from_secs(60));
    session.save().await.unwrap();
    let list = site.sessions.of_owner("ada").await.unwrap();
    let ids: Vec<_> = list.iter().map(|session| session.id()).collect();
    assert_eq!(ids, [first, second], "the most recently used first");
    assert_eq!(list[0].device().as_deref(), Some("Firefox on Debian"));
    assert_eq!((list[1].device(), list[1].get::<u8>("n").unwrap()), (None, Some(1)));
    assert_eq!(list[0].created_at() + Duration::from_secs(120), list[0].last_used_at());
    assert_eq!(list[0].expires_at(), list[0].last_used_at() + Duration::from_secs(3_600));
    assert!(!format!("{list:?}").contains("Firefox"), "values are the application's");
    assert!(site.sessions.of_owner("nobody").await.unwrap().is_empty());
    // Expired sessions are not listed, nor revoked ones that could not be removed.
    site.clock.advance(Duration::from_secs(3_580));
    assert_eq!(site.sessions.of_owner("ada").await.unwrap().len(), 1);
    site.store.inject(Fault::unavailable().on(Operation::End));
    assert_eq!(site.sessions.revoke_all("ada").await.unwrap(), 0);
    site.store.heal();
    assert_eq!(site.store.list_owner("ada").await.unwrap().len(), 1);
    assert!(site.sessions.of_owner("ada").await.unwrap().is_empty());
    assert!(!site.sessions.contains(&first).await.unwrap());
}

#[tokio::test]
async fn revoke_ends_all_sessions_of_an_owner() {
    let site = Site::new();
    let (a, b, other) = (site.member("ada").await, site.member("ada").await, site.member("bob").await);
    assert_eq!(site.sessions.revoke_all("ada").await.unwrap(), 2);
    for id in [a, b] {
        assert!(!site.sessions.contains(&id).await.unwrap());
        assert!(site.store.load(&id).await.unwrap().is_none(), "removed, for its space");
    }
    assert!(site.sessions.contains(&other).await.unwrap());
    // A later login is not revoked.
    let new = site.member("ada").await;
    assert!(site.sessions.contains(&new).await.unwrap());
    assert_eq!(site.sessions.of_owner("ada").await.unwrap()[0].id(), new);
}

/// The epoch alone ends them: if the store can't list or can't remove, or if the answer was lost.
#[tokio::test]
async fn revocation_needs_the_epoch_only() {
    for fault in [
        Fault::unavailable().on(Operation::ListOwner),
        Fault::unavailable().on(Operation::End),
        Fault::outcome_unknown().on(Operation::RenewEpoch).first(1),
        Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::RenewEpoch).first(1),
    ] {
        let site = Site::new();
        let id = site.member("ada").await;
        let late = site.layer.open_session(id).await.unwrap().unwrap();
        late.insert("n", 2).unwrap();
        site.store.inject(fault);
        site.sessions.revoke_all("ada").await.unwrap();
        site.store.heal();
        let _ = late.save().await;
        assert!(!site.sessions.contains(&id).await.unwrap());
    }
    // If the epoch could not be changed, nothing was removed either, and the call is an error.
    let site = Site::new();
    let id = site.member("ada").await;
    site.store.inject(Fault::unavailable().on(Operation::RenewEpoch));
    assert_eq!(site.sessions.revoke_all("ada").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(site.sessions.revoke_others("ada", &id).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(site.sessions.contains(&id).await.unwrap());
}

#[tokio::test]
async fn revoke_others_ends_all_others_and_keeps_one() {
    let site = Site::new();
    let (keep, a, b) = (site.member("ada").await, site.member("ada").await, site.member("ada").await);
    let before = site.store.load(&keep).await.unwrap().unwrap();
    // The request that asks for it has loaded its session, and saves it afterwards.
    let request = site.layer.open_session(keep).await.unwrap().unwrap();
    request.insert("m", 5).unwrap();
    assert!(site.sessions.revoke_others("ada", &keep).await.unwrap());
    let after = site.store.load(&keep).await.unwrap().unwrap();
    assert_eq!((before.used_at, before.expires_at), (after.used_at, after.expires_at), "it is no use of the session");
    assert_eq!(before.record.created_at(), after.record.created_at());
    request.save().await.unwrap();
    for id in [a, b] {
        assert!(!site.sessions.contains(&id).await.unwrap());
    }
    let list = site.sessions.of_owner("ada").await.unwrap();
    assert_eq!(list.iter().map(|session| session.id()).collect::<Vec<_>>(), [keep]);
    assert_eq!((list[0].get("n").unwrap(), list[0].get("m").unwrap()), (Some(1), Some(5)));
    // Repeated, and followed by a revocation of all.
    assert!(site.sessions.revoke_others("ada", &keep).await.unwrap());
    assert_eq!(site.sessions.revoke_all("ada").await.unwrap(), 1);
    assert!(!site.sessions.contains(&keep).await.unwrap());
}

/// An id from a form ends no other owner's session, and keeps none.
#[tokio::test]
async fn another_owners_id_is_not_found() {
    let site = Site::new();
    let (ada, bob) = (site.member("ada").await, site.member("bob").await);
    let nobody = site.layer.new_session();
    nobody.insert("n", 1).unwrap();
    nobody.save().await.unwrap();
    let nobody = nobody.id().unwrap();
    let epoch = session_layer::SessionId::for_epoch("bob");
    for id in [bob, nobody, epoch, session_layer::SessionId::for_epoch("absent")] {
        assert!(!site.sessions.revoke_one("ada", &id).await.unwrap());
        assert!(!site.sessions.revoke_others("ada", &id).await.unwrap());
    }
    for id in [ada, bob, nobody] {
        assert!(site.sessions.contains(&id).await.unwrap(), "nothing was changed");
    }
    assert!(site.sessions.revoke_one("ada", &ada).await.unwrap());
    assert!(!site.sessions.revoke_one("ada", &ada).await.unwrap());
    assert!(!site.sessions.contains(&ada).await.unwrap());
    assert!(site.sessions.contains(&bob).await.unwrap());
    // A revoked session blocks nobody.
    let (old, new) = (site.member("bob").await, {
        site.store.inject(Fault::unavailable().on(Operation::End));
        site.sessions.revoke_all("bob").await.unwrap();
        site.store.heal();
        site.member("bob").await
    });
    assert!(!site.sessions.revoke_others("bob", &old).await.unwrap());
    assert!(site.sessions.contains(&new).await.unwrap());
}

/// A session that is renewed while it is ended does not live on under the new id.
#[tokio::test]
async fn a_renewal_under_way_is_ended_too() {
    for step in [Step::Before, Step::After] {
        let site = Site::new();
        let id = site.member("ada").await;
        let request = site.layer.open_session(id).await.unwrap().unwrap();
        request.renew().unwrap();
        let gate = site.store.pause(Operation::Rename, step);
        let save = tokio::spawn({
            let request = request.clone();
            async move { request.save().await }
        });
        gate.reached().await;
        let ended = site.sessions.revoke_one("ada", &id).await.unwrap();
        gate.release();
        let saved = save.await.unwrap();
        let live = site.sessions.of_owner("ada").await.unwrap().len();
        // The same if it already had its new id.
        assert_eq!((ended, live), (true, 0), "{saved:?}");
    }
}

/// Each of its calls fails once, or its answer is lost. Afterwards no other session lives, unless the call failed
/// before the epoch changed; and if it returned `true`, the kept one lives.
#[tokio::test]
async fn revoke_others_with_every_call_failing_once() {
    let operations = [
        Operation::Load,
        Operation::OwnerEpoch,
        Operation::EnsureEpoch,
        Operation::RenewEpoch,
        Operation::Update,
        Operation::ListOwner,
        Operation::End,
    ];
    for operation in operations {
        for (nth, lost) in [(1, false), (2, false), (3, false), (1, true), (2, true)] {
            let site = Site::new();
            let (keep, other) = (site.member("ada").await, site.member("ada").await);
            let fault = if lost { Fault::outcome_unknown() } else { Fault::unavailable() };
            site.store.inject(fault.on(operation).nth(nth));
            let answer = site.sessions.revoke_others("ada", &keep).await;
            site.store.heal();
            let keep_lives = site.sessions.contains(&keep).await.unwrap();
            let other_lives = site.sessions.contains(&other).await.unwrap();
            let case = format!("{operation} {nth} {lost}: {answer:?}");
            match answer {
                Ok(done) => assert!(done && keep_lives && !other_lives, "{case}"),
                Err(_) => assert!(keep_lives || !other_lives, "{case}"),
            }
        }
    }
}

#[tokio::test]
async fn under_the_policy_reject_a_reload_comes_first() {
    let site = Site::with(ConflictPolicy::Reject);
    let (keep, _) = (site.member("ada").await, site.member("ada").await);
    let request = site.layer.open_session(keep).await.unwrap().unwrap();
    assert!(site.sessions.revoke_others("ada", &keep).await.unwrap());
    request.reload().await.unwrap();
    request.insert("n", 2).unwrap();
    request.save().await.unwrap();
}

#[tokio::test]
async fn a_limit_ends_the_oldest_sessions_of_an_owner() {
    let site = Site::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        site.clock.advance(Duration::from_secs(10));
        assert!(site.sessions.make_room_for("ada", 3, AtLimit::Refuse).await.unwrap());
        ids.push(site.member("ada").await);
    }
    site.member("bob").await;
    assert!(!site.sessions.make_room_for("ada", 3, AtLimit::Refuse).await.unwrap());
    assert_eq!(site.sessions.of_owner("ada").await.unwrap().len(), 3, "nothing was ended");
    assert!(site.sessions.make_room_for("ada", 3, AtLimit::EndOldest).await.unwrap());
    assert!(!site.sessions.contains(&ids[0]).await.unwrap());
    assert_eq!(site.sessions.of_owner("ada").await.unwrap().len(), 2);
    assert!(site.sessions.make_room_for("ada", 1, AtLimit::EndOldest).await.unwrap(), "a limit that was lowered");
    assert!(site.sessions.of_owner("ada").await.unwrap().is_empty());
    assert!(!site.sessions.make_room_for("ada", 0, AtLimit::EndOldest).await.unwrap());
    assert_eq!(site.sessions.of_owner("bob").await.unwrap().len(), 1);
}

/// A session that is renewed between the load and the write is ended under its new id.
#[tokio::test]
async fn a_session_renewed_meanwhile_is_ended_under_its_new_id() {
    let site = Site::new();
    let id = site.member("ada").await;
    let request = site.layer.open_session(id).await.unwrap().unwrap();
    request.renew().unwrap();
    let (fault, gate) = Fault::pause();
    site.store.inject(fault.on(Operation::End));
    let sessions = site.sessions.clone();
    let ending = tokio::spawn(async move { sessions.revoke_one("ada", &id).await });
    gate.reached().await;
    request.save().await.unwrap();
    gate.release();
    assert!(ending.await.unwrap().unwrap());
    assert!(site.sessions.of_owner("ada").await.unwrap().is_empty());
    assert!(!site.sessions.contains(&request.id().unwrap()).await.unwrap());
}

/// The same if the write that ends it is lost: the renewal's tombstone is not taken for that write.
#[tokio::test]
async fn a_session_renewed_beside_a_lost_write_is_ended_under_its_new_id() {
    let site = Site::new();
    let id = site.member("ada").await;
    let request = site.layer.open_session(id).await.unwrap().unwrap();
    request.renew().unwrap();
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::End).nth(1));
    let (pause, gate) = Fault::pause();
    site.store.inject(pause.on(Operation::Load).nth(2));
    let sessions = site.sessions.clone();
    let ending = tokio::spawn(async move { sessions.revoke_one("ada", &id).await });
    gate.reached().await;
    request.save().await.unwrap();
    gate.release();
    assert!(ending.await.unwrap().unwrap());
    assert!(!site.sessions.contains(&request.id().unwrap()).await.unwrap());
    assert!(site.store.inner().load(&id).await.unwrap().is_some(), "the tombstone is the renewal's");
}

/// The answer is lost, with or without the write being done. The session has ended.
#[tokio::test]
async fn a_session_is_ended_by_a_write_whose_answer_was_lost() {
    for fault in [Fault::outcome_unknown(), Fault::error(StoreErrorKind::OutcomeUnknown)] {
        let site = Site::new();
        let id = site.member("ada").await;
        site.store.inject(fault.on(Operation::End).nth(1));
        assert!(site.sessions.revoke_one("ada", &id).await.unwrap());
        assert!(site.store.inner().load(&id).await.unwrap().is_none());
    }
}

/// The caller is dropped while the oldest sessions are being ended. All that had to end are ended.
#[tokio::test]
async fn making_room_completes_when_its_caller_is_dropped() {
    let site = Site::new();
    for _ in 0..3 {
        site.member("ada").await;
    }
    let gate = site.store.pause(Operation::End, Step::Before);
    let sessions = site.sessions.clone();
    let asking = tokio::spawn(async move { sessions.make_room_for("ada", 1, AtLimit::EndOldest).await });
    gate.reached().await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    gate.release();
    while !site.store.inner().list_owner("ada").await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}
