//! A logout or a login with the token from before a renewal ends the renewed session.

use std::time::Duration;

use http::StatusCode;
use session_layer::{
    LazySession, Lifetime, Session,
    conformance::{Operation, fault::Fault},
};

use crate::{
    renewing::{SECOND, live, logged_in, over_a_renewal, renewed},
    stores::{sites, sites_with},
    support::*,
};

/// Also after the grace.
#[tokio::test]
async fn a_logout_a_login_or_a_revocation_with_the_old_token_ends_the_renewed_session() {
    for (name, site) in sites() {
        for late in [false, true] {
            for way in 0..6 {
                let mut old = site.member("ada").await;
                let new = renewed(&site, &old).await;
                let id = old.id();
                if late {
                    site.clock.advance(30 * MINUTE);
                }
                let sessions = site.layer.sessions();
                let reply = site
                    .visit(&mut old, async move |lazy: LazySession| {
                        let session = lazy.session().await.unwrap();
                        match way {
                            0 => session.destroy()?,
                            1 => assert!(session.destroy_now().await?),
                            2 => assert!(lazy.destroy().await?),
                            3 => session.login("ada")?,
                            4 => assert!(sessions.revoke_one("ada", &id).await?),
                            _ => assert!(sessions.end(&id).await?),
                        }
                        ok()
                    })
                    .await;
                let place = format!("{name} {late} {way}");
                assert_eq!(reply.status, StatusCode::OK, "{place}");
                assert!(!is_live(&site, &new).await, "{place}");
                match way {
                    0..=2 => assert_eq!(old.value, None, "{place}: it has ended the session"),
                    3 => assert!(is_live(&site, &old).await, "{place}"),
                    _ => assert!(reply.sets_no_cookie(), "{place}"),
                }
            }
        }
    }
}

/// A login with a token whose grace is over first ends the session that the token leads to. If that fails, nobody is
/// logged in. If a login has moved that session on, it is left alone.
#[tokio::test]
async fn a_login_over_a_late_token_is_complete_or_fails() {
    for (name, site) in sites() {
        let old = site.member("ada").await;
        let new = renewed(&site, &old).await;
        site.clock.advance(5 * MINUTE);
        let mut late = old.clone();
        site.store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update));
        let reply = site.visit(&mut late, async |session: Session| session.login("ada")).await;
        site.store.heal();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert!(reply.sets_no_cookie(), "{name}");
        assert!(is_live(&site, &new).await, "{name}");
        let newest = logged_in(&site, &new).await;
        let reply = site.visit(&mut late, async |session: Session| session.login("ada")).await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(is_live(&site, &late).await && is_live(&site, &newest).await, "{name}");
    }
}

#[tokio::test]
async fn a_login_that_commits_after_the_grace_of_a_renewal_ends_the_renewed_session() {
    for (grace, passed) in [(MINUTE, 0), (MINUTE, 61), (Duration::ZERO, 0), (Duration::ZERO, 61)] {
        for (name, site) in sites_with(move |builder| builder.renewal_grace(grace)) {
            let mut jar = site.member("bob").await;
            let clock = site.clock.clone();
            let (reply, newer) = over_a_renewal(&site, &jar, Session::renew, move |session| {
                clock.advance(passed * SECOND);
                session.login("ada")
            })
            .await;
            let place = format!("{name}, {passed} s after a renewal with a grace of {grace:?}");
            assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{place}");
            assert!(!is_live(&site, &newer).await, "{place}");
            jar.absorb(&reply);
            let seen = site.send(&jar, async |session: Session| session.owner().unwrap().to_string()).await;
            assert_eq!(seen.body, "ada", "{place}");
            assert_eq!(live(&site).await, 1, "{place}");
        }
    }
}

/// The save continues with the session at its new id. Its content as saved counts as just loaded.
#[tokio::test]
async fn a_logout_after_a_forwarded_save_is_confirmed() {
    for ended_by_another in [false, true] {
        let site = Site::with(|builder| builder.renewal_grace(30 * MINUTE));
        let jar = site.member("ada").await;
        renewed(&site, &jar).await;
        site.clock.advance(5 * MINUTE);
        let sessions = site.layer.sessions();
        let reply = site
            .send(&jar, async move |session: Session| {
                session.insert("x", 1)?;
                session.save().await?;
                if ended_by_another {
                    let (sessions, id) = (sessions.clone(), session.id().unwrap());
                    // In a separate task, so that the end is not attributed to this request's handler.
                    assert!(tokio::spawn(async move { sessions.end(&id).await }).await.unwrap()?);
                }
                session.destroy_now().await.map(|was_there| was_there.to_string())
            })
            .await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, (!ended_by_another).to_string()));
        assert_eq!(live(&site).await, 0, "{ended_by_another}");
    }
}

/// The tombstone at the old id lives as long as the renewed session may, not only as long as the old one.
#[tokio::test]
async fn a_logout_after_the_old_absolute_limit_ends_a_session_that_was_given_a_longer_life() {
    let site = Site::with(|builder| builder.lifetime(Lifetime::new(10 * MINUTE, 10 * MINUTE).unwrap()));
    let jar = site.visitor().await;
    site.clock.advance(9 * MINUTE + 50 * SECOND);
    let clock = site.clock.clone();
    let longer = |session: &Session| {
        session.set_lifetime(Lifetime::new(HOUR, 24 * HOUR).unwrap())?;
        session.renew()
    };
    let (reply, newer) = over_a_renewal(&site, &jar, longer, move |session| {
        clock.advance(90 * SECOND);
        session.destroy()
    })
    .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!is_live(&site, &newer).await);
    assert_eq!(live(&site).await, 0);
}
