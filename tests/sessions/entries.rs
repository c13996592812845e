//! One session, opened by its id outside a request.

use session_layer::{
    ErrorKind, Key, SessionId, conformance::Operation, conformance::fault::Fault, store::StoreErrorKind,
};

use crate::support::Site;

const N: Key<u64> = Key::new("n");

#[tokio::test]
async fn an_absent_session_is_none_and_is_not_created() {
    let Site { sessions, store, .. } = Site::new();
    let id = SessionId::for_epoch("absent");
    assert!(sessions.open(&id).await.unwrap().is_none());
    assert_eq!(sessions.get(&id, N).await.unwrap(), None);
    assert_eq!(sessions.update(&id, N, |n| *n += 1).await.unwrap(), None);
    assert!(!sessions.merge(&id, [("n", 1)]).await.unwrap());
    assert_eq!(sessions.take(&id, N).await.unwrap(), None);
    assert_eq!(sessions.get_or_insert(&id, N, 7).await.unwrap(), None);
    assert!(!sessions.contains(&id).await.unwrap());
    assert!(!sessions.end(&id).await.unwrap());
    assert_eq!(sessions.status(&id).await.unwrap(), None);
    assert_eq!(store.calls(Operation::Create) + store.calls(Operation::Update), 0);
}

#[tokio::test]
async fn values_are_read_changed_and_taken() {
    let site = Site::new();
    let (sessions, id) = (&site.sessions, site.member("ada").await);
    assert_eq!(sessions.get(&id, N).await.unwrap(), Some(1));
    assert_eq!(sessions.get(&id, "n").await.unwrap(), Some(1_u8));
    assert_eq!(sessions.get::<String>(&id, "n").await.unwrap_err().kind(), ErrorKind::Decode);
    let twice = sessions.update(&id, N, |n| {
        *n *= 2;
        *n
    });
    assert_eq!(twice.await.unwrap(), Some(2));
    assert!(sessions.merge(&id, [("plan", "gold"), ("language", "pt")]).await.unwrap());
    assert_eq!(sessions.get(&id, "plan").await.unwrap(), Some("gold".to_owned()));
    assert_eq!(sessions.get(&id, N).await.unwrap(), Some(2), "the others stay");
    assert_eq!(sessions.get_or_insert(&id, N, 9).await.unwrap(), Some(2));
    assert_eq!(sessions.get_or_insert(&id, "m", 9).await.unwrap(), Some(9));
    assert_eq!(sessions.get(&id, "m").await.unwrap(), Some(9));
    assert_eq!(sessions.take::<String>(&id, "plan").await.unwrap(), Some("gold".to_owned()));
    assert_eq!(sessions.take::<String>(&id, "plan").await.unwrap(), None);
    assert!(sessions.take::<String>(&id, "n").await.is_err());
    assert_eq!(sessions.get(&id, N).await.unwrap(), Some(2), "what can't be read stays");
    assert!(sessions.end(&id).await.unwrap());
    assert!(!sessions.end(&id).await.unwrap());
    assert!(!sessions.contains(&id).await.unwrap());
}

#[tokio::test]
async fn a_merge_that_fails_sets_nothing() {
    let site = Site::new();
    let id = site.member("ada").await;
    let long = "k".repeat(256);
    let entries = [("a", 1), (&long, 2)];
    assert_eq!(site.sessions.merge(&id, entries).await.unwrap_err().kind(), ErrorKind::InvalidKey);
    assert_eq!(site.sessions.get::<u8>(&id, "a").await.unwrap(), None);
}

#[tokio::test]
async fn concurrent_updates_all_count() {
    let site = Site::new();
    let id = site.member("ada").await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let sessions = site.sessions.clone();
            tokio::spawn(async move {
                sessions
                    .update(&id, N, |n| {
                        *n += 1;
                        *n
                    })
                    .await
                    .unwrap()
                    .unwrap()
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (2..=51).collect::<Vec<_>>(), "each saw the value that it was applied to");
}

#[tokio::test]
async fn a_session_that_ends_before_the_write_is_absent_and_a_renewed_one_is_not() {
    for renewed in [false, true] {
        let site = Site::new();
        let id = site.member("ada").await;
        let gate = site.store.pause(Operation::Update, session_layer::conformance::fault::Step::Before);
        let sessions = site.sessions.clone();
        let late = tokio::spawn(async move { sessions.update(&id, N, |n| *n += 1).await });
        gate.reached().await;
        if renewed {
            let session = site.sessions.open(&id).await.unwrap().unwrap();
            session.renew().unwrap();
            session.save().await.unwrap();
        } else {
            assert!(site.sessions.end(&id).await.unwrap());
        }
        gate.release();
        // If the session was renewed, its old id leads to it.
        assert_eq!(late.await.unwrap().unwrap().is_some(), renewed);
        assert_eq!(site.sessions.contains(&id).await.unwrap(), renewed);
    }
}

#[tokio::test]
async fn a_damaged_record_can_be_removed() {
    let site = Site::new();
    let id = site.member("ada").await;
    site.store.inject(Fault::corrupt().session(&id));
    assert_eq!(site.sessions.get(&id, N).await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(site.sessions.revoke_one("ada", &id).await.unwrap_err().kind(), ErrorKind::Damaged);
    assert!(site.sessions.end(&id).await.unwrap());
    site.store.heal();
    assert!(!site.sessions.contains(&id).await.unwrap());
}

/// A store failure is an error, never an absent session.
#[tokio::test]
async fn unavailable_is_not_absent() {
    let site = Site::new();
    let id = site.member("ada").await;
    site.store.inject(Fault::unavailable());
    assert_eq!(site.sessions.contains(&id).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(site.sessions.update(&id, N, |n| *n += 1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(site.sessions.end(&id).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(site.sessions.revoke_all("ada").await.unwrap_err().kind(), ErrorKind::Unavailable);
    site.store.heal();
    site.store.inject(Fault::outcome_unknown().on(Operation::End).first(1));
    assert!(site.sessions.end(&id).await.unwrap(), "what is there afterwards tells that it arrived");
    site.store.heal();
    let id = site.member("ada").await;
    site.store.inject(Fault::error(StoreErrorKind::TooLarge).on(Operation::End));
    assert_eq!(site.sessions.end(&id).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

/// A job that only reads does not extend a session's life.
#[tokio::test]
async fn reading_does_not_count_as_a_use() {
    let site = Site::new();
    let id = site.member("ada").await;
    let before = site.sessions.metadata(&id).await.unwrap().unwrap();
    site.clock.advance(std::time::Duration::from_secs(1_800));
    site.sessions.get(&id, N).await.unwrap();
    site.sessions.get_or_insert(&id, N, 5).await.unwrap();
    let after = site.sessions.metadata(&id).await.unwrap().unwrap();
    assert_eq!(before.expires_at, after.expires_at);
}
