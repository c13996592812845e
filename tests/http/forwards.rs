//! After a renewal, a parallel request with the old token is still served. After a login, a logout or a revocation it
//! is not.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use session_layer::{
    ConflictPolicy, EncryptedStore, Error, ErrorKind, LazySession, Lifetime, Session, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    record::{Forward, Record},
    store::{Listing, StoreErrorKind, Usage},
};
use tracing::Level;

use crate::{
    stores::{places, ring, sites, sites_with},
    support::*,
};

const SECOND: Duration = Duration::from_secs(1);

async fn renewed(site: &Site, jar: &Jar) -> Jar {
    let mut jar = jar.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.renew()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1);
    jar
}

async fn logged_in(site: &Site, jar: &Jar) -> Jar {
    let mut jar = jar.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::OK);
    jar
}

async fn keys(site: &Site, jar: &Jar) -> String {
    site.send(jar, async |session: Session| session.keys().join(",")).await.body
}

/// Counts live sessions, without tombstones.
async fn live(site: &Site) -> u64 {
    site.store.inner().count().await.unwrap()
}

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

/// One renewal overtakes the other at each of its store calls.
#[tokio::test]
async fn two_renewals_at_once_leave_one_session_and_one_cookie() {
    let points = [Operation::Load, Operation::Refresh, Operation::Create, Operation::Update, Operation::Rename]
        .into_iter()
        .flat_map(|operation| [Step::Before, Step::After].map(|step| (operation, step)))
        .flat_map(|(operation, step)| [1, 2].map(|nth| (operation, step, nth)));
    let mut met = 0;
    for (operation, step, nth) in points {
        for (name, site) in sites() {
            let old = site.visitor().await;
            let (fault, gate) = Fault::pause();
            site.store.inject(fault.on(operation).at(step).nth(nth));
            let mut first = tokio::spawn(site.send(&old, async |session: Session| session.renew()));
            tokio::select! {
                _ = &mut first => continue,
                () = gate.reached() => {}
            }
            met += 1;
            let second = site.send(&old, async |session: Session| session.renew()).await;
            gate.release();
            let first = first.await.unwrap();
            let place = format!("{name} {operation:?} {step:?} {nth}");
            assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK), "{place}");
            assert_eq!(live(&site).await, 1, "{place}");
            let mut jar = old.clone();
            jar.absorb(&first);
            jar.absorb(&second);
            assert_ne!(jar.value, old.value, "{place}");
            for jar in [&old, &jar] {
                assert_eq!(keys(&site, jar).await, "n", "{place}");
            }
            // A logout with either token ends the session.
            assert_eq!(site.send(&old, async |session: Session| session.destroy()).await.status, StatusCode::OK);
            assert_eq!(live(&site).await, 0, "{place}");
        }
    }
    assert!(met > 20, "{met} points");
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Logout,
    LogoutUnopened,
    RevokeOne,
    Revoke,
    Remove,
}

/// Ends ada's session. Returns whether the end was acknowledged.
async fn end(site: &Site, jar: &Jar, way: End) -> bool {
    let (sessions, id) = (site.layer.sessions(), jar.id());
    match way {
        End::Logout => site.send(jar, async |session: Session| session.destroy()).await.status == StatusCode::OK,
        End::LogoutUnopened => {
            let reply = site.send(jar, async |lazy: LazySession| lazy.destroy().await.map(drop)).await;
            reply.status == StatusCode::OK
        }
        End::RevokeOne => sessions.revoke_one("ada", &id).await.unwrap(),
        End::Revoke => sessions.revoke_all("ada").await.is_ok(),
        End::Remove => sessions.end(&id).await.unwrap(),
    }
}

/// Each overtakes the other at each of its store calls. A session whose end was acknowledged is alive under no token.
#[tokio::test]
async fn an_end_beside_a_renewal_or_a_login_leaves_nothing_alive_at_any_await_point() {
    const CALLS: [Operation; 7] = [
        Operation::Load,
        Operation::Refresh,
        Operation::Create,
        Operation::Update,
        Operation::Rename,
        Operation::End,
        Operation::Remove,
    ];
    let mut met = 0;
    for way in [End::Logout, End::LogoutUnopened, End::RevokeOne, End::Revoke, End::Remove] {
        for (operation, step, nth, is_login, end_is_overtaken) in CALLS
            .into_iter()
            .flat_map(|operation| [Step::Before, Step::After].map(|step| (operation, step)))
            .flat_map(|(operation, step)| [1, 2, 3].map(|nth| (operation, step, nth)))
            .flat_map(|(operation, step, nth)| [false, true].map(|is_login| (operation, step, nth, is_login)))
            .flat_map(|(operation, step, nth, is_login)| [false, true].map(|is| (operation, step, nth, is_login, is)))
        {
            for (name, site) in sites() {
                let old = site.member("ada").await;
                let mut new = old.clone();
                let (fault, gate) = Fault::pause();
                site.store.inject(fault.session(&old.id()).on(operation).at(step).nth(nth));
                let moves = {
                    let (site, old) = (site.clone(), old.clone());
                    async move {
                        let handler =
                            async move |session: Session| if is_login { session.login("ada") } else { session.renew() };
                        site.send(&old, handler).await
                    }
                };
                let ends = {
                    let (site, old) = (site.clone(), old.clone());
                    async move { end(&site, &old, way).await }
                };
                let (reply, ended);
                if end_is_overtaken {
                    let mut ends = tokio::spawn(ends);
                    tokio::select! {
                        _ = &mut ends => continue,
                        () = gate.reached() => {}
                    }
                    reply = moves.await;
                    gate.release();
                    ended = ends.await.unwrap();
                } else {
                    let mut moves = tokio::spawn(moves);
                    tokio::select! {
                        _ = &mut moves => continue,
                        () = gate.reached() => {}
                    }
                    ended = ends.await;
                    gate.release();
                    reply = moves.await.unwrap();
                }
                met += 1;
                new.absorb(&reply);
                let place = format!("{way:?} {operation:?} {step:?} {nth} {is_login} {end_is_overtaken} {name}");
                let mut kept = Vec::new();
                for jar in [&old, &new] {
                    if jar.value.is_some() {
                        kept.push(keys(&site, jar).await);
                    }
                }
                // A login after the end begins a separate session, without the old one's data.
                assert!(!ended || kept.iter().all(String::is_empty), "{place}: {kept:?}");
                // A session that was not ended is alive under one of the two tokens.
                assert!(ended || kept.iter().any(|keys| keys == "n"), "{place}: {kept:?}");
            }
        }
    }
    assert!(met > 200, "{met} points");
}

/// Both writes were done and both answers lost. At most one session is left, and ending it leaves none.
#[tokio::test]
async fn two_renewals_whose_answers_are_lost_leave_one_session() {
    for (name, site) in sites() {
        for (first_lost, second_lost) in [(1, 1), (1, 0), (2, 2), (1, 3)] {
            let old = site.visitor().await;
            let before = live(&site).await;
            let lost = Fault::outcome_unknown().on(Operation::Rename).on(Operation::Update).on(Operation::Create);
            site.store.inject(lost.clone().nth(first_lost));
            let (pause, gate) = Fault::pause();
            site.store.inject(pause.on(Operation::Load).on(Operation::Refresh).at(Step::After).first(1));
            let first = tokio::spawn(site.send(&old, async |session: Session| session.renew()));
            gate.reached().await;
            if second_lost > 0 {
                site.store.inject(lost.nth(second_lost));
            }
            let second = site.send(&old, async |session: Session| session.renew()).await;
            gate.release();
            let first = first.await.unwrap();
            site.store.heal();
            let place = format!("{name} {first_lost} {second_lost}: {} {}", first.status, second.status);
            let mut jar = old.clone();
            jar.absorb(&second);
            jar.absorb(&first);
            assert!(is_live(&site, &jar).await, "{place}");
            assert_eq!(site.send(&jar, async |session: Session| session.destroy()).await.status, StatusCode::OK);
            assert!(!is_live(&site, &old).await, "{place}");
            // An interrupted rename of the provided implementation can leave a record under a token that nobody has.
            if name != "provided" {
                assert_eq!(live(&site).await, before - 1, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn a_chain_of_renewals_is_followed_within_the_grace() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let mut jars = vec![old];
        for _ in 0..4 {
            site.clock.advance(10 * SECOND);
            let newest = renewed(&site, jars.last().unwrap()).await;
            jars.push(newest);
        }
        for (age, jar) in jars.iter().enumerate() {
            assert_eq!(keys(&site, jar).await, "n", "{name} {age}");
        }
        site.clock.advance(40 * SECOND);
        let alive: Vec<bool> = {
            let mut alive = Vec::new();
            for jar in &jars {
                alive.push(is_live(&site, jar).await);
            }
            alive
        };
        assert_eq!(alive, [false, false, true, true, true], "{name}: each until its own grace is over");
    }
}

#[tokio::test]
async fn a_chain_is_followed_to_a_bounded_depth() {
    let site = Site::new();
    let old = site.visitor().await;
    let mut newest = old.clone();
    for _ in 0..8 {
        newest = renewed(&site, &newest).await;
    }
    site.store.forget();
    assert!(is_live(&site, &old).await);
    newest = renewed(&site, &newest).await;
    site.store.forget();
    assert!(!is_live(&site, &old).await, "nine tombstones");
    assert!(site.store.calls(Operation::Load) <= 9);
    assert!(is_live(&site, &newest).await);
}

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

#[tokio::test]
async fn a_job_that_knows_the_old_id_finds_and_leases_the_renewed_session() {
    let site = Site::new();
    let old = site.member("ada").await;
    let new = renewed(&site, &old).await;
    site.clock.advance(30 * MINUTE);
    let sessions = site.layer.sessions();
    assert!(sessions.contains(&old.id()).await.unwrap());
    assert_eq!(sessions.open(&old.id()).await.unwrap().unwrap().id(), Some(new.id()));
    let lock = sessions.lease(&old.id(), MINUTE).await.unwrap().unwrap();
    assert_eq!(lock.id(), new.id());
    lock.release().await.unwrap();
    assert!(sessions.revoke_others("ada", &old.id()).await.unwrap());
    assert!(is_live(&site, &new).await);
    // The tombstone lives for an hour and the grace.
    site.send(&new, async |_: Session| ()).await;
    site.clock.advance(31 * MINUTE);
    assert!(!sessions.contains(&old.id()).await.unwrap());
    assert!(is_live(&site, &new).await);
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

/// As long as only old tokens are used, it is unknown whether the new one has arrived.
#[tokio::test]
async fn the_first_use_of_the_new_token_is_recorded_and_uses_of_the_old_one_are_not() {
    for (name, site) in sites() {
        let old = site.visitor().await;
        let new = renewed(&site, &old).await;
        let renewed_at = site.stored(&new.id()).await.unwrap().used_at;
        site.clock.advance(SECOND);
        site.send(&old, async |_: Session| ()).await;
        site.send(&old, async |session: Session| session.insert("old", 1)).await;
        site.send(&old, async |session: Session| session.touch_now().await).await;
        let stored = site.stored(&new.id()).await.unwrap();
        assert_eq!(stored.used_at, renewed_at, "{name}");
        assert_eq!(stored.expires_at, site.clock.now() + HOUR, "{name}: but the session lives on");
        site.clock.advance(SECOND);
        site.store.forget();
        for _ in 0..3 {
            site.send(&new, async |_: Session| ()).await;
        }
        assert_eq!(site.stored(&new.id()).await.unwrap().used_at, site.clock.now(), "{name}");
        assert_eq!(site.store.calls(Operation::Touch), 1, "{name}: one small write");
    }
}

#[tokio::test]
async fn a_periodic_renewal_issues_a_new_token_once_the_old_one_has_the_set_age() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        let mut jar = site.member("ada").await;
        site.clock.advance(15 * MINUTE - SECOND);
        assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}");
        site.clock.advance(SECOND);
        for what in ["fails", "polls"] {
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    if what == "polls" {
                        session.skip_touch();
                        StatusCode::OK
                    } else {
                        StatusCode::INTERNAL_SERVER_ERROR
                    }
                })
                .await;
            assert!(reply.sets_no_cookie(), "{name}: a request that {what} renews nothing");
        }
        let old = jar.clone();
        let reply = site.visit(&mut jar, async |session: Session| session.insert("m", 1)).await;
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{name}");
        assert_ne!(jar.value, old.value, "{name}");
        let seen = site.send(&jar, async |s: Session| format!("{:?} {}", s.owner(), s.keys().join(","))).await;
        assert_eq!(seen.body, r#"Some("ada") m,n"#, "{name}");
        assert!(is_live(&site, &old).await, "{name}");
        // Right afterwards, the token is new.
        assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}");
    }
}

/// The answer with the new token was lost, and the browser continues with the old one.
#[tokio::test]
async fn a_forwarded_request_renews_again_only_while_the_newest_token_is_unseen_and_five_seconds_old() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        for is_seen in [false, true] {
            let mut jar = site.visitor().await;
            site.clock.advance(15 * MINUTE);
            let lost = site.send(&jar, async |_: Session| ()).await;
            assert_eq!(lost.cookies().len(), 1, "{name}");
            let mut newest = jar.clone();
            newest.absorb(&lost);
            site.clock.advance(5 * SECOND - Duration::from_millis(1));
            assert!(site.visit(&mut jar, async |_: Session| ()).await.sets_no_cookie(), "{name}: it may be on its way");
            if is_seen {
                site.send(&newest, async |_: Session| ()).await;
            }
            site.clock.advance(Duration::from_millis(1));
            let reply = site.visit(&mut jar, async |_: Session| ()).await;
            assert_eq!(reply.sets_no_cookie(), is_seen, "{name}");
            site.clock.advance(2 * MINUTE);
            assert_eq!(is_live(&site, &jar).await, !is_seen, "{name}");
        }
    }
}

/// The layer renews by itself, so a store that is down or a session that has ended meanwhile does not change the
/// answer.
#[tokio::test]
async fn a_periodic_renewal_that_fails_leaves_the_answer_as_it_is() {
    for (name, site) in sites_with(|builder| builder.renew_every(15 * MINUTE)) {
        for ends in [false, true] {
            let jar = site.visitor().await;
            site.clock.advance(15 * MINUTE);
            let (events, _kept) = Events::keep();
            let (twin, other) = (site.clone(), jar.clone());
            let reply = site
                .send(&jar, async move |_: Session| {
                    if ends {
                        twin.send(&other, async |session: Session| session.login("ada")).await;
                    } else {
                        twin.store
                            .inject(Fault::error(StoreErrorKind::Timeout).on(Operation::Rename).on(Operation::Create));
                    }
                    "read"
                })
                .await;
            site.store.heal();
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "read"), "{name} {ends}");
            assert!(reply.sets_no_cookie(), "{name} {ends}");
            assert_eq!(events.count(Level::WARN, "was blocked"), 0, "{name} {ends}: nothing was written");
        }
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

/// Runs a request while another one renews the session: `act` runs in its handler after the renewal. Returns the
/// answer, and the cookie that the renewal has set.
async fn over_a_renewal<T, R>(site: &Site, jar: &Jar, renew: T, act: R) -> (Reply, Jar)
where
    T: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
    R: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
{
    let newer = Arc::new(std::sync::Mutex::new(jar.clone()));
    let (twin, other, slot) = (site.clone(), jar.clone(), Arc::clone(&newer));
    let reply = site
        .send(jar, async move |session: Session| {
            let renew = renew.clone();
            let reply = twin.send(&other, async move |session: Session| renew(&session)).await;
            assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1));
            slot.lock().unwrap().absorb(&reply);
            act(&session)
        })
        .await;
    let newer = newer.lock().unwrap().clone();
    assert_ne!(newer.value, jar.value);
    (reply, newer)
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

#[tokio::test]
async fn the_first_of_ten_renewed_ids_ends_the_session() {
    for of_owner in [false, true] {
        let site = Site::with(|builder| builder.renew_every(5 * MINUTE));
        let mut jar = site.member("ada").await;
        let first = jar.id();
        for _ in 0..10 {
            site.clock.advance(5 * MINUTE);
            let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
            assert_eq!((reply.body.as_str(), reply.cookies().len()), ("n", 1));
        }
        let sessions = site.layer.sessions();
        let ended = if of_owner { sessions.revoke_one("ada", &first).await } else { sessions.end(&first).await };
        assert!(ended.unwrap(), "{of_owner}");
        assert!(!is_live(&site, &jar).await, "{of_owner}");
        assert_eq!(live(&site).await, 0, "{of_owner}");
    }
}

#[tokio::test]
async fn a_lock_does_not_cover_the_session_after_a_renewal() {
    let site = Site::new();
    let jar = site.visitor().await;
    let sessions = site.layer.sessions();
    let lock = sessions.lease(&jar.id(), MINUTE).await.unwrap().unwrap();
    assert!(lock.session().await.unwrap().is_some());
    let newer = renewed(&site, &jar).await;
    assert!(lock.session().await.unwrap().is_none());
    // Another holder gets the lease of the renewed session, and saves under it.
    let second = sessions.lease(&jar.id(), MINUTE).await.unwrap().unwrap();
    assert_eq!(second.id(), newer.id());
    let session = second.session().await.unwrap().unwrap();
    session.insert("by", 2).unwrap();
    session.save().await.unwrap();
    assert_eq!(site.entry(&newer, "by").await.as_deref(), Some("2"));
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

#[tokio::test]
async fn a_clock_that_is_stepped_back_after_a_renewal_makes_no_reader_write() {
    let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
    let mut jar = site.visitor().await;
    site.clock.advance(3 * MINUTE);
    let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!(reply.cookies().len(), 1);
    site.clock.set(site.clock.now() - HOUR / 2);
    for number in 0..3 {
        site.store.forget();
        let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
        assert_eq!(reply.body, "n", "{number}");
        assert_eq!((site.store.calls(Operation::Load), site.store.total()), (1, 1), "{number}: {:?}", site.store.log());
    }
}

#[tokio::test]
async fn under_the_reject_policy_another_requests_renewal_is_no_conflict_and_its_change_is_one() {
    for changes in [false, true] {
        let site = Site::with(|builder| builder.renew_every(10 * MINUTE).conflict_policy(ConflictPolicy::Reject));
        let jar = site.visitor().await;
        site.clock.advance(11 * MINUTE);
        // The other request's renewal is the periodic one.
        let theirs = move |session: &Session| {
            if changes { session.insert("theirs", 1) } else { session.get::<u8>("n").map(drop) }
        };
        let (reply, newer) = over_a_renewal(&site, &jar, theirs, |session| session.insert("mine", 1)).await;
        let status = if changes { StatusCode::CONFLICT } else { StatusCode::OK };
        assert_eq!(reply.status, status, "{changes}");
        assert!(reply.sets_no_cookie(), "{changes}");
        assert_eq!(site.entry(&newer, "mine").await.is_some(), !changes, "{changes}");
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

#[tokio::test]
async fn a_record_above_a_lowered_limit_can_still_be_renewed() {
    let before = Site::new();
    let mut jar = before.visitor().await;
    before.send(&jar, async |session: Session| session.insert("big", "x".repeat(3_000))).await;
    let site = Site::over(before.store.clone(), before.store.clone(), before.clock.clone(), |builder| {
        builder.max_record_bytes(2_000).renew_every(2 * MINUTE)
    });
    site.clock.advance(3 * MINUTE);
    let reply = site.visit(&mut jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "by the layer");
    let jar = renewed(&site, &jar).await;
    assert_eq!(keys(&site, &jar).await, "big,n");
}
