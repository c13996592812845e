//! After a renewal, a parallel request with the old token is still served. After a login, a logout or a revocation it
//! is not.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use session_layer::{
    ConflictPolicy, EncryptedStore, Error, ErrorKind, Session, SessionStore,
    record::{Forward, Record},
    store::{StoreErrorKind, Usage},
};

use crate::{
    renewing::{SECOND, keys, live, logged_in, renewed},
    stores::{places, ring, sites, sites_with},
    support::*,
};

#[tokio::test]
async fn the_old_token_reads_and_writes_the_renewed_session_and_gets_no_cookie() {
    for place in places(|builder| builder).await {
        let (site, name) = (&place.site, place.name);
        for owner in [None, Some("ada")] {
            let mut old = site.jar();
            site.visit(&mut old, async move |session: Session| {
                owner.map_or(Ok(()), |owner| session.login(owner))?;
                session.insert("n", 1)
            })
            .await;
            let new = renewed(site, &old).await;
            let reply = site
                .send(&old, async move |session: Session| {
                    assert_eq!((session.get("n")?, session.owner().as_deref()), (Some(1), owner));
                    session.update("n", |n: &mut u8| *n += 1)?;
                    session.insert("old", 1)
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert!(reply.sets_no_cookie(), "{name}");
            assert_eq!(keys(site, &new).await, "n,old", "{name}");
            let n = site.send(&new, async |s: Session| s.get::<u8>("n").unwrap().unwrap().to_string()).await;
            assert_eq!(n.body, "2", "{name}");
        }
    }
}

#[tokio::test]
async fn the_old_token_is_served_for_the_grace_and_not_a_moment_longer() {
    let graces = [(60, None), (10, Some(10 * SECOND)), (0, Some(Duration::ZERO))];
    for (seconds, set) in graces {
        for (name, site) in sites_with(move |builder| match set {
            Some(set) => builder.renewal_grace(set),
            None => builder,
        }) {
            let old = site.visitor().await;
            let new = renewed(&site, &old).await;
            if seconds > 0 {
                site.clock.advance(seconds * SECOND - Duration::from_millis(1));
                assert!(is_live(&site, &old).await, "{name} {seconds}");
                site.clock.advance(Duration::from_millis(1));
            }
            let reply = site
                .send(&old, async |session: Session| {
                    assert!(session.is_new() && session.is_empty());
                    assert_eq!(session.insert("n", 2).unwrap_err().kind(), ErrorKind::Superseded);
                    session.insert("n", 2)
                })
                .await;
            assert_eq!(reply.status, StatusCode::CONFLICT, "{name} {seconds}");
            assert!(reply.sets_no_cookie(), "{name} {seconds}");
            assert_eq!(keys(&site, &new).await, "n", "{name} {seconds}");
        }
    }
}

#[tokio::test]
async fn the_old_token_leads_nowhere_after_a_login_a_logout_or_a_revocation() {
    for (name, site) in sites() {
        let old = site.member("ada").await;
        let middle = renewed(&site, &old).await;
        let new = logged_in(&site, &middle).await;
        for jar in [&old, &middle] {
            assert!(!is_live(&site, jar).await, "{name}: after a login");
        }
        let newest = renewed(&site, &new).await;
        site.send(&newest, async |session: Session| session.destroy()).await;
        assert!(!is_live(&site, &new).await, "{name}: after a logout");
        let old = site.member("ada").await;
        let new = renewed(&site, &old).await;
        site.layer.sessions().revoke_all("ada").await.unwrap();
        for jar in [&old, &new] {
            assert!(!is_live(&site, jar).await, "{name}: after a revocation");
        }
    }
}

/// The session existed, so the token is superseded rather than never issued.
#[tokio::test]
async fn a_forward_whose_target_is_gone_is_superseded() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let new = renewed(&site, &old).await;
        site.send(&new, async |session: Session| session.destroy()).await;
        let reply = site.send(&old, async |session: Session| session.insert("n", 2)).await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{name}");
        assert_eq!(live(&site).await, 0, "{name}");
    }
}

/// A token planted before the renewal is not forwarded to a session that has since got an owner: neither if the
/// renewing request names the owner, nor if a later one does.
#[tokio::test]
async fn a_planted_token_does_not_follow_a_renewal_into_a_login() {
    type Act = fn(&Session) -> Result<(), Error>;
    let ways: [(&str, Act, Act); 5] = [
        ("login", |s| s.login("ada"), |_| Ok(())),
        (
            "renew, then login",
            |s| {
                s.renew()?;
                s.login("ada")
            },
            |_| Ok(()),
        ),
        (
            "renew, then an owner",
            |s| {
                s.renew()?;
                s.set_owner("ada")
            },
            |_| Ok(()),
        ),
        (
            "an owner, then renew",
            |s| {
                s.set_owner("ada")?;
                s.renew()
            },
            |_| Ok(()),
        ),
        ("renew, and an owner later", Session::renew, |s| s.set_owner("ada")),
    ];
    for (way, first, second) in ways {
        for (name, site) in sites() {
            let planted = site.visitor().await;
            let mut victim = planted.clone();
            for act in [first, second] {
                let reply = site
                    .visit(&mut victim, async move |session: Session| {
                        act(&session)?;
                        session.insert("secret", 1)
                    })
                    .await;
                assert_eq!(reply.status, StatusCode::OK, "{way} {name}");
            }
            let found = site.send(&planted, async |s: Session| format!("{:?} {}", s.owner(), s.keys().join(","))).await;
            assert_eq!(found.body, "None ", "{way} {name}");
            let write = site.send(&planted, async |session: Session| session.insert("secret", 2)).await;
            assert_eq!(write.status, StatusCode::CONFLICT, "{way} {name}");
            assert!(is_live(&site, &victim).await, "{way} {name}");
        }
    }
}

/// The same for a request under way, which loaded before the renewal and commits after the login.
#[tokio::test]
async fn a_request_under_way_with_a_planted_token_does_not_write_into_a_login() {
    for (name, site) in sites() {
        let planted = site.visitor().await;
        let stop = Stop::new();
        let late = {
            let stop = stop.clone();
            tokio::spawn(site.send(&planted, async move |session: Session| {
                session.insert("planted", 1)?;
                stop.here().await;
                ok()
            }))
        };
        stop.reached().await;
        let mut victim = renewed(&site, &planted).await;
        site.visit(&mut victim, async |session: Session| session.set_owner("ada")).await;
        stop.go();
        assert_eq!(late.await.unwrap().status, StatusCode::CONFLICT, "{name}");
        assert_eq!(keys(&site, &victim).await, "n", "{name}");
    }
}

#[tokio::test]
async fn a_request_that_was_under_way_at_the_renewal_is_merged() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let stop = Stop::new();
        let late = {
            let stop = stop.clone();
            tokio::spawn(site.send(&old, async move |session: Session| {
                session.update("n", |n: &mut u8| *n += 1)?;
                stop.here().await;
                ok()
            }))
        };
        stop.reached().await;
        let mut new = old.clone();
        site.visit(&mut new, async |session: Session| {
            session.renew()?;
            session.update("n", |n: &mut u8| *n += 10)
        })
        .await;
        stop.go();
        let reply = late.await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(reply.sets_no_cookie(), "{name}");
        let n = site.send(&new, async |s: Session| s.get::<u8>("n").unwrap().unwrap().to_string()).await;
        assert_eq!(n.body, "12", "{name}");
    }
}

/// An entry read before the renewal counts as read in the renewed session.
#[tokio::test]
async fn the_read_rule_holds_over_a_forward() {
    for policy in [ConflictPolicy::Merge, ConflictPolicy::LastWriteWins] {
        let site = Site::with(|builder| builder.conflict_policy(policy));
        let old = site.visitor().await;
        let new = Arc::new(std::sync::Mutex::new(old.clone()));
        let (twin, slot) = (site.clone(), Arc::clone(&new));
        let reply = site
            .send(&old, async move |session: Session| {
                let n: u8 = session.get("n")?.unwrap();
                session.insert("n", n + 1)?;
                let mut jar = slot.lock().unwrap().clone();
                twin.visit(&mut jar, async |session: Session| {
                    session.renew()?;
                    session.insert("n", 7)?;
                    session.insert("theirs", 1)
                })
                .await;
                *slot.lock().unwrap() = jar;
                ok()
            })
            .await;
        let new = new.lock().unwrap().clone();
        assert_eq!(keys(&site, &new).await, "n,theirs", "{policy:?}: never the view of the whole session");
        let (status, n) =
            if policy == ConflictPolicy::Merge { (StatusCode::CONFLICT, "7") } else { (StatusCode::OK, "2") };
        assert_eq!(reply.status, status, "{policy:?}");
        assert_eq!(site.entry(&new, "n").await.as_deref(), Some(n), "{policy:?}");
    }
}

#[tokio::test]
async fn a_job_that_knows_the_old_id_finds_and_leases_the_renewed_session() {
    let site = Site::new();
    let old = site.member("ada").await;
    let new = renewed(&site, &old).await;
    site.clock.advance(30 * MINUTE);
    let sessions = site.layer.sessions();
    assert!(sessions.contains(&old.id()).await.unwrap());
    assert_eq!(sessions.open(&old.id()).await.unwrap().unwrap().id(), Some(new.id()));
    let lease = sessions.lease(&old.id(), MINUTE).await.unwrap().unwrap();
    assert_eq!(lease.id(), new.id());
    lease.release().await.unwrap();
    assert!(sessions.revoke_others("ada", &old.id()).await.unwrap());
    assert!(is_live(&site, &new).await);
    // The tombstone lives for an hour and the grace.
    site.send(&new, async |_: Session| ()).await;
    site.clock.advance(31 * MINUTE);
    assert!(!sessions.contains(&old.id()).await.unwrap());
    assert!(is_live(&site, &new).await);
}

#[tokio::test]
async fn two_tokens_of_one_session_are_one_session_and_a_live_token_goes_before_a_forward() {
    for (name, site) in sites() {
        let (old, other) = (site.visitor().await, site.visitor().await);
        let new = renewed(&site, &old).await;
        let other_new = renewed(&site, &other).await;
        let third = site.visitor().await;
        let ask = async |jars: &[&Jar]| {
            let line: Vec<_> = jars.iter().map(|jar| jar.line().unwrap()).collect();
            let router = site.router(async |session: Session| format!("{}", session.id().unwrap()));
            let reply = tower::ServiceExt::oneshot(router, request(Some(&line.join("; ")))).await.unwrap();
            let reply = answered(reply).await;
            if reply.status == StatusCode::OK { reply.body } else { reply.status.as_u16().to_string() }
        };
        let id = |jar: &Jar| jar.id().to_string();
        assert_eq!(ask(&[&old, &new]).await, id(&new), "{name}");
        assert_eq!(ask(&[&new, &old]).await, id(&new), "{name}");
        assert_eq!(ask(&[&old, &third]).await, id(&third), "{name}");
        assert_eq!(ask(&[&third, &old]).await, id(&third), "{name}");
        assert_eq!(ask(&[&old, &other]).await, "400", "{name}: two forwards to two sessions");
        assert_eq!(ask(&[&new, &other_new]).await, "400", "{name}");
        // In any order.
        for jars in [[&old, &other, &third], [&old, &third, &other], [&third, &old, &other]] {
            assert_eq!(ask(&jars).await, id(&third), "{name}");
        }
        assert_eq!(ask(&[&old, &other, &new]).await, id(&new), "{name}");
    }
}

/// Requests that wait for the session continue with it under its new id.
#[tokio::test(start_paused = true)]
async fn where_requests_run_one_after_another_those_that_wait_move_on_to_the_renewed_session() {
    for renews_early in [false, true] {
        let site = Site::with(|builder| builder.exclusive(10 * SECOND));
        let old = site.visitor().await;
        let stop = Stop::new();
        let first = {
            let stop = stop.clone();
            tokio::spawn(site.send(&old, async move |session: Session| {
                session.renew()?;
                if renews_early {
                    session.save().await?;
                }
                stop.here().await;
                session.update("n", |n: &mut u8| *n += 1)
            }))
        };
        stop.reached().await;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                tokio::spawn(site.send(&old, async |session: Session| {
                    let n: u8 = session.get("n")?.unwrap();
                    tokio::task::yield_now().await;
                    session.insert("n", n + 1)
                }))
            })
            .collect();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        stop.go();
        let reply = first.await.unwrap();
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1));
        let mut new = old.clone();
        new.absorb(&reply);
        for request in waiting {
            let reply = request.await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "{renews_early}");
            assert!(reply.sets_no_cookie());
        }
        assert_eq!(site.entry(&new, "n").await.as_deref(), Some("7"), "{renews_early}");
    }
}

/// If tombstones were not sealed, write access to the store would be enough to make one's own token lead to another's
/// session.
#[tokio::test]
async fn a_planted_forward_that_is_not_sealed_is_a_damaged_record_to_a_sealing_store() {
    let below = Site::new();
    let sealed = EncryptedStore::new(below.store.clone(), ring());
    let site = Site::over(sealed, below.store.clone(), below.clock.clone(), |builder| builder);
    let victim = site.visitor().await;
    let attacker = site.visitor().await;
    let (id, check) = attacker.identify();
    let forward = Forward { to: victim.id(), until: site.clock.now() + HOUR, owner: None };
    let tombstone = Arc::new(Record::tombstone(check, site.clock.now(), HOUR, Some(&forward)).unwrap());
    site.store.inner().remove(&id).await.unwrap();
    site.store.inner().create(&id, &tombstone, Usage::at(&tombstone, site.clock.now())).await.unwrap();
    let error = site.outer.load(&id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    let reply = site.send(&attacker, async |session: Session| session.keys().join(",")).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_lease_does_not_cover_the_session_after_a_renewal() {
    let site = Site::new();
    let jar = site.visitor().await;
    let sessions = site.layer.sessions();
    let lease = sessions.lease(&jar.id(), MINUTE).await.unwrap().unwrap();
    assert!(lease.session().await.unwrap().is_some());
    let newer = renewed(&site, &jar).await;
    assert!(lease.session().await.unwrap().is_none());
    // Another holder gets the lease of the renewed session, and saves under it.
    let second = sessions.lease(&jar.id(), MINUTE).await.unwrap().unwrap();
    assert_eq!(second.id(), newer.id());
    let session = second.session().await.unwrap().unwrap();
    session.insert("by", 2).unwrap();
    session.save().await.unwrap();
    assert_eq!(site.entry(&newer, "by").await.as_deref(), Some("2"));
}
