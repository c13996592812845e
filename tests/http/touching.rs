//! Touches extend a session and write no record.

use std::time::Duration;

use http::StatusCode;
use session_layer::{
    ErrorKind, Session, SessionStore,
    conformance::{Operation, fault::Step},
    store::Listing,
};

use crate::{stores::sites, support::*};

#[tokio::test]
async fn after_a_save_and_a_touch_a_session_reports_the_stored_times() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        let clock = site.clock.clone();
        let reply = site
            .send(&jar, async move |session: Session| {
                for touches in [false, true, false] {
                    clock.advance(50 * MINUTE);
                    if touches {
                        session.touch_now().await?;
                    } else {
                        session.update("n", |n: &mut u8| *n += 1)?;
                        session.save().await?;
                    }
                    assert_eq!(session.last_used_at(), Some(clock.now()));
                    assert_eq!(session.expires_at(), Some(clock.now() + HOUR));
                }
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        site.clock.advance(HOUR - Duration::from_millis(1));
        assert!(is_live(&site, &jar).await, "{name}");
    }
}

/// A read extends the session only after a tenth of its idle timeout; `touch` always does.
#[tokio::test]
async fn a_touch_extends_the_session_at_the_end_of_the_request_and_writes_no_record() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.clock.advance(Duration::from_secs(1));
        let touched = async |handler: fn(&Session)| {
            site.store.forget();
            let reply = site.send(&jar, async move |session: Session| handler(&session)).await;
            assert!(reply.sets_no_cookie());
            let used = site.stored(&jar.id()).await.unwrap().used_at == site.clock.now();
            let calls = [Operation::Touch, Operation::Update].map(|operation| site.store.calls(operation));
            (used, calls[0], calls[1])
        };
        assert_eq!(touched(|_| {}).await, (false, 0, 0), "{name}");
        assert_eq!(touched(|session| session.touch()).await, (true, 1, 0), "{name}");
        site.clock.advance(Duration::from_secs(1));
        // The later call takes precedence.
        let skipped = |session: &Session| {
            session.touch();
            session.skip_touch();
        };
        assert_eq!(touched(skipped).await, (false, 0, 0), "{name}");
        let asked = |session: &Session| {
            session.skip_touch();
            session.touch();
        };
        assert_eq!(touched(asked).await, (true, 1, 0), "{name}");
        site.clock.advance(Duration::from_secs(1));
        // A write is a use in any case.
        let written = |session: &Session| {
            session.touch();
            session.update("n", |n: &mut u8| *n += 1).unwrap();
        };
        assert_eq!(touched(written).await, (true, 0, 1), "{name}");
    }
    let site = Site::new();
    let reply = site.send(&site.jar(), async |session: Session| session.touch()).await;
    assert!(reply.sets_no_cookie() && site.store.inner().count().await.unwrap() == 0);
}

#[tokio::test]
async fn touching_an_ended_session_is_an_error_and_touching_a_new_one_does_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let sessions = site.layer.sessions();
    site.send(&jar, async move |session: Session| {
        sessions.end(&session.id().unwrap()).await?;
        assert_eq!(kind(session.touch_now().await), ErrorKind::Gone);
        ok()
    })
    .await;
    site.send(&site.jar(), async |session: Session| session.touch_now().await).await;
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

/// A touch that finds no session is neither an error nor reported as a touch.
#[tokio::test]
async fn a_touch_of_an_ended_session_changes_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let (store, id) = (site.store.inner().clone(), jar.id());
    let reply = site
        .send(&jar, async move |session: Session| {
            store.remove(&id).await.unwrap();
            session.keys().join(",")
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "n"));
    assert_eq!(site.store.calls(Operation::Touch), 1);
    assert!(reply.sets_no_cookie());
    assert!(site.stored(&jar.id()).await.is_none());
}

/// A request loads the session, and another one extends its lifetime. The first one's late touch does not end it early.
#[tokio::test]
async fn a_late_touch_by_the_old_lifetime_does_not_shorten_the_session() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let gate = site.store.pause(Operation::Touch, Step::Before);
    let late = tokio::spawn(site.send(&jar, async |session: Session| session.keys().join(",")));
    gate.reached().await;
    let week = session_layer::Lifetime::new(7 * 24 * HOUR, 28 * 24 * HOUR).unwrap();
    site.send(&jar, async move |session: Session| session.set_lifetime(week)).await;
    gate.release();
    late.await.unwrap();
    for _ in 0..4 {
        site.clock.advance(40 * MINUTE);
        let reply = site.send(&jar, async |session: Session| session.keys().join(",")).await;
        assert_eq!(reply.body, "n", "expired by the lifetime that it had before");
    }
    assert_eq!(site.store.calls(Operation::Touch), 1, "the late one; a week is not a tenth over");
}
