//! Changes merge key by key, closures run again, and later calls in the request see the committed state.

use std::sync::Arc;

use http::StatusCode;
use session_layer::{
    ConflictPolicy, ErrorKind, Key, Session, SessionStore,
    conformance::{Operation, fault::Step},
};
use tokio::sync::Barrier;

use crate::support::*;

const COUNT: Key<u64> = Key::new("count");

/// Runs `mine` in one request. After it has loaded and before it commits, runs `theirs` in another request of the
/// session.
async fn race<M, T>(site: &Site, jar: &Jar, mine: M, theirs: T) -> Reply
where
    M: Fn(&Session) + Clone + Send + Sync + 'static,
    T: Fn(&Session) + Clone + Send + Sync + 'static,
{
    let (twin, other) = (site.clone(), jar.clone());
    site.send(jar, async move |session: Session| {
        mine(&session);
        let theirs = theirs.clone();
        let reply = twin.send(&other, async move |session: Session| theirs(&session)).await;
        assert_eq!(reply.status, StatusCode::OK);
        ok()
    })
    .await
}

async fn a_hundred(site: &Site, jar: &Jar, change: impl Fn(&Session, usize) + Clone + Send + Sync + 'static) {
    let barrier = Arc::new(Barrier::new(100));
    let requests: Vec<_> = (0..100)
        .map(|i| {
            let (barrier, change) = (barrier.clone(), change.clone());
            tokio::spawn(site.send(jar, async move |session: Session| {
                change(&session, i);
                barrier.wait().await;
            }))
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_at_once_each_set_their_own_key() {
    let site = Site::new();
    let jar = site.visitor().await;
    a_hundred(&site, &jar, |session, i| session.insert(format!("key{i}"), i).unwrap()).await;
    for i in 0..100 {
        assert_eq!(site.entry(&jar, &format!("key{i}")).await, Some(i.to_string()));
    }
    assert_eq!(site.store.calls(Operation::Create), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_increments_at_once_count_to_a_hundred() {
    let site = Site::new();
    let jar = site.visitor().await;
    a_hundred(&site, &jar, |session, _| {
        session.update(COUNT, |n| *n += 1).unwrap();
    })
    .await;
    assert_eq!(site.entry(&jar, "count").await.as_deref(), Some("100"));
}

#[tokio::test]
async fn changes_merge_key_by_key() {
    let site = Site::new();
    let jar = site.visitor().await;
    let insert = |key: &'static str, value: u8| move |session: &Session| session.insert(key, value).unwrap();
    // With two keys, both stay. With one key, the later commit wins.
    race(&site, &jar, insert("a", 1), insert("b", 2)).await;
    race(&site, &jar, insert("c", 1), insert("c", 2)).await;
    assert_eq!(site.entry(&jar, "a").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "b").await.as_deref(), Some("2"));
    assert_eq!(site.entry(&jar, "c").await.as_deref(), Some("1"));
    // A remove applies to its own key, even if the other request has just set it.
    race(&site, &jar, |session| assert!(session.remove("a").unwrap()), insert("a", 9)).await;
    assert_eq!(site.entry(&jar, "a").await, None);
    assert_eq!(site.entry(&jar, "b").await.as_deref(), Some("2"));
    // `clear` removes the entries stored at the commit; changes that follow it in the request stay.
    let clear = |session: &Session| {
        session.clear().unwrap();
        session.insert("after", 1).unwrap();
    };
    race(&site, &jar, clear, insert("late", 1)).await;
    let keys = site.send(&jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!(keys.body, "after");
    // A closure sees the value that it is applied to.
    race(
        &site,
        &jar,
        |session| {
            let first = session.update(COUNT, |n| {
                *n = *n * 10 + 1;
                *n
            });
            assert_eq!(first.unwrap(), 1, "the first run's result");
        },
        |session| session.insert(COUNT, 7).unwrap(),
    )
    .await;
    assert_eq!(site.entry(&jar, "count").await.as_deref(), Some("71"));
}

#[tokio::test]
async fn the_reject_policy_answers_409_and_keeps_the_other_requests_change() {
    let site = Site::with(|builder| builder.conflict_policy(ConflictPolicy::Reject));
    let jar = site.visitor().await;
    let reply =
        race(&site, &jar, |session| session.insert("a", 1).unwrap(), |session| session.insert("b", 2).unwrap()).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert_eq!(site.entry(&jar, "a").await, None);
    assert_eq!(site.entry(&jar, "b").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn the_last_write_can_win_but_never_revives() {
    let site = Site::with(|builder| builder.conflict_policy(ConflictPolicy::LastWriteWins));
    let jar = site.visitor().await;
    let mine = |session: &Session| session.insert("a", 1).unwrap();
    let reply = race(&site, &jar, mine, |session| session.insert("b", 2).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "a").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "b").await, None, "the view of the whole session");
    let reply =
        race(&site, &jar, |session| session.insert("c", 1).unwrap(), |session| session.destroy().unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(site.stored(&jar.id()).await.is_none());
}

#[tokio::test]
async fn update_now_returns_the_final_result() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("mine", 1).unwrap();
            twin.send(&other, async |session: Session| session.insert(COUNT, 41)).await;
            let n = session.update_now(COUNT, |n| {
                *n += 1;
                *n
            });
            let n = n.await.unwrap();
            assert_eq!(session.get(COUNT).unwrap(), Some(42), "rebased");
            (StatusCode::INTERNAL_SERVER_ERROR, n.to_string())
        })
        .await;
    assert_eq!(reply.body, "42");
    assert_eq!(site.entry(&jar, "count").await.as_deref(), Some("42"), "a later 5xx does not take it back");
    assert_eq!(site.entry(&jar, "mine").await.as_deref(), Some("1"), "it commits the whole log");
}

#[tokio::test]
async fn save_rebases_and_reload_refuses_to_drop_changes() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("a", 1)?;
            twin.send(&other, async |session: Session| session.insert("b", 2)).await;
            assert_eq!(session.get::<u8>("b")?, None);
            assert_eq!(session.reload().await.unwrap_err().kind(), ErrorKind::UnsavedChanges);
            session.save().await?;
            assert_eq!(session.get::<u8>("b")?, Some(2));
            twin.send(&other, async |session: Session| session.insert("b", 3)).await;
            session.reload().await?;
            assert_eq!(session.get::<u8>("b")?, Some(3));
            session.save().await?; // nothing to do
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    // Two updates of the other requests and two attempts of the one save.
    assert_eq!(site.store.calls(Operation::Update), 4);
}

#[tokio::test]
async fn changes_made_while_a_save_is_under_way_are_kept() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::After);
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    site.send(&jar, async move |session: Session| {
        session.update(COUNT, |n| *n += 1).unwrap();
        let saving = tokio::spawn({
            let session = session.clone();
            async move { session.save().await }
        });
        let gate = gate.lock().unwrap().take().unwrap();
        gate.reached().await;
        session.update(COUNT, |n| *n += 1).unwrap();
        gate.release();
        saving.await.unwrap().unwrap();
        assert_eq!(session.get(COUNT).unwrap(), Some(2));
    })
    .await;
    assert_eq!(site.entry(&jar, "count").await.as_deref(), Some("2"), "each closure counts once");
}

#[tokio::test]
async fn setting_an_equal_value_writes_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |session: Session| {
            session.insert("n", 1)?;
            session.insert("n", 2)?;
            session.insert("n", 1)?;
            session.update("n", |n: &mut u8| *n += 0)?;
            session.remove("nothing")?;
            session.insert("m", 1)?;
            session.remove("m")?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.store.total(), 1, "one load: {:?}", site.store.log());
}

/// A change that was reverted before the `reload` is not replayed over another request's write.
#[tokio::test]
async fn reload_forgets_reverted_changes() {
    let site = Site::new();
    let jar = site.visitor().await;
    let twin = site.clone();
    let other = jar.clone();
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            session.insert("n", 1)?; // as it was loaded
            twin.send(&other, async |session: Session| session.insert("n", 7)).await;
            session.reload().await?;
            assert_eq!(session.get::<u8>("n")?, Some(7));
            session.insert("x", 1)?;
            twin.send(&other, async |session: Session| session.insert("y", 1)).await;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"));
    assert_eq!(site.entry(&jar, "x").await.as_deref(), Some("1"));
}

/// A closure that captures its own session is dropped at the end of the request, even if it changed nothing.
#[tokio::test]
async fn a_closure_that_changed_nothing_is_dropped_with_the_request() {
    let site = Site::new();
    let jar = site.visitor().await;
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let reply = site
        .send(&jar, async move |session: Session| {
            let (own, held) = (session.clone(), held.clone());
            session.update("n", move |_: &mut u8| {
                let _ = (&own, &held);
            })?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(Arc::strong_count(&alive), 1, "the session and its closures leak");
}

/// The merged result of a commit stays, even if a change made during the commit can't be applied to it.
#[tokio::test]
async fn a_closure_that_fails_on_the_merged_record_undoes_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("x", 1)?;
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            let gate = gate.lock().unwrap().take().unwrap();
            gate.reached().await;
            twin.send(&other, async |session: Session| session.insert("n", "text")).await;
            session.update("n", |n: &mut u8| *n += 1)?;
            gate.release();
            saving.await.unwrap()?;
            ok()
        })
        .await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("\"text\""), "the other request's write is lost");
    assert_eq!(site.entry(&jar, "x").await.as_deref(), Some("1"));
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "the change can't be made, and says so");
}

/// A `remove` after a closure also removes the value that the closure produces when it runs again.
#[tokio::test]
async fn a_remove_after_a_closure_is_replayed() {
    for takes in [false, true] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                session.modify("n", |n: &mut Option<u8>| *n = n.filter(|&n| n != 1))?;
                if takes {
                    assert_eq!(session.take::<u8>("n")?, None);
                } else {
                    assert!(!session.remove("n")?);
                }
                twin.send(&other, async |session: Session| session.insert("n", 7)).await;
                ok()
            })
            .await;
        // `take` has read the entry, so another request's change of it is a conflict. A blind `remove` wins.
        let (status, left) = if takes { (StatusCode::CONFLICT, Some("7")) } else { (StatusCode::OK, None) };
        assert_eq!(reply.status, status);
        assert_eq!(site.entry(&jar, "n").await.as_deref(), left);
    }
}

#[tokio::test]
async fn a_login_keeps_the_cart() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let old = jar.id();
    site.clock.advance(MINUTE);
    site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    assert_ne!(jar.id(), old);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
    let stored = site.stored(&jar.id()).await.unwrap();
    assert_eq!(stored.record.created_at(), site.clock.now(), "both clocks are restarted");
    assert_eq!(&**stored.record.owner().unwrap().name(), "ada");
    // The same owner logs in again.
    site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_login_or_renewal_of_an_ended_session_starts_afresh() {
    for login in [true, false] {
        let site = Site::new();
        let mut jar = site.visitor().await;
        let (store, id) = (site.store.inner().clone(), jar.id());
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.insert("own", 1)?;
                if login { session.login("ada") } else { session.renew() }?;
                store.remove(&id).await.unwrap();
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_ne!(jar.id(), id);
        assert_eq!(site.entry(&jar, "own").await.as_deref(), Some("1"));
        assert_eq!(site.entry(&jar, "n").await, None, "the old data does not come along");
        assert!(site.stored(&id).await.is_none());
    }
}

#[tokio::test]
async fn a_login_over_a_superseded_session_starts_afresh_and_a_renewal_is_refused() {
    for login in [true, false] {
        let site = Site::new();
        let old = site.visitor().await;
        let mut jar = old.clone();
        let (twin, other) = (site.clone(), old.clone());
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.insert("own", 1)?;
                if login { session.login("ada") } else { session.renew() }?;
                twin.visit(&mut other.clone(), async |session: Session| session.login("bob")).await;
                ok()
            })
            .await;
        if login {
            assert_eq!(reply.status, StatusCode::OK);
            assert_eq!(site.entry(&jar, "own").await.as_deref(), Some("1"));
            assert_eq!(site.entry(&jar, "n").await, None);
        } else {
            // The answer's cookie would replace the login's.
            assert_eq!(reply.status, StatusCode::CONFLICT);
            assert!(reply.sets_no_cookie());
        }
    }
}
