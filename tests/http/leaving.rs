//! Nothing of one person is left for the next, and a revoked session stays revoked.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use session_layer::{
    AtLimit, Error, ErrorKind, Lifetime, Session, SessionId, SessionStore, Sessions,
    conformance::{
        Operation,
        fault::{Fault, Gate, Step},
    },
    store::{Listing, Usage},
};
use tracing::Level;

use crate::{stores::sites, support::*};

const DAY: Duration = Duration::from_secs(24 * 3_600);

const BLOCKED: &str = "write to a session that is gone was blocked";

fn remembered() -> Lifetime {
    Lifetime::new(30 * DAY, 30 * DAY).unwrap().persistent()
}

async fn seen(site: &Site, jar: &Jar) -> String {
    let look = async |session: Session| {
        format!("{} {:?} {:?}", session.keys().join(","), session.owner(), session.lifetime().idle() / 3_600)
    };
    site.send(jar, look).await.body
}

#[tokio::test]
async fn a_login_does_not_inherit_the_previous_sessions_lifetime() {
    for (name, site) in sites() {
        // The previous session is an anonymous visitor's, the same owner's or another owner's.
        for owner in [None, Some("ada"), Some("bob")] {
            let mut jar = site.jar();
            site.visit(&mut jar, async move |session: Session| {
                owner.map_or(Ok(()), |owner| session.login(owner))?;
                session.set_lifetime(remembered())?;
                session.insert("n", 1)
            })
            .await;
            let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
            assert!(!reply.cookies()[0].contains("Max-Age"), "{name} {owner:?}: {:?}", reply.cookies());
            let keys = if owner == Some("bob") { "" } else { "n" };
            assert_eq!(seen(&site, &jar).await, format!(r#"{keys} Some("ada") 1s"#), "{name} {owner:?}");
        }
    }
}

/// The session is revoked between the request's load and its login.
#[tokio::test]
async fn a_login_over_a_revoked_session_takes_no_data_along() {
    let site = Site::new();
    let mut jar = site.member("ada").await;
    let store = site.store.inner().clone();
    let clock = site.clock.clone();
    let old = jar.id();
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            let until = clock.now() + 48 * HOUR;
            store.renew_epoch("ada", Usage { used_at: clock.now(), expires_at: until }).await.unwrap();
            session.insert("own", 1)?;
            session.login("ada")
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_ne!(jar.id(), old);
    assert_eq!(site.entry(&jar, "own").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "n").await, None, "data of the revoked session");
}

#[tokio::test]
async fn a_lifetime_set_in_the_same_request_before_or_after_the_login_applies_to_it() {
    for (name, site) in sites() {
        for (sets_first, saves_between) in [(true, false), (true, true), (false, false), (false, true)] {
            let mut jar = site.visitor().await;
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    for is_first in [true, false] {
                        if sets_first == is_first {
                            session.set_lifetime(remembered())?
                        } else {
                            session.login("ada")?
                        }
                        if saves_between {
                            session.save().await?;
                        }
                    }
                    ok()
                })
                .await;
            let place = format!("{name} {sets_first} {saves_between}");
            assert_eq!(reply.status, StatusCode::OK, "{place}");
            assert_eq!(seen(&site, &jar).await, r#"n Some("ada") 720s"#, "{place}");
            if sets_first || !saves_between {
                assert!(reply.cookies()[0].contains("Max-Age"), "{place}: {:?}", reply.cookies());
            }
        }
    }
}

/// Also if it was saved before the session was ended.
#[tokio::test]
async fn a_lifetime_set_for_an_ended_session_does_not_apply_to_the_next() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    site.visit(&mut jar, async |session: Session| {
        session.set_lifetime(remembered())?;
        session.save().await?;
        session.destroy()?;
        session.login("ada")
    })
    .await;
    assert_eq!(seen(&site, &jar).await, r#" Some("ada") 1s"#);
}

#[tokio::test]
async fn removing_the_owner_starts_an_empty_session_under_a_new_token() {
    for (name, site) in sites() {
        for next in [None, Some("eve")] {
            let mut jar = site.jar();
            site.visit(&mut jar, async |session: Session| {
                session.login("bob")?;
                session.set_lifetime(remembered())?;
                session.insert("secret", 1)
            })
            .await;
            let old = jar.clone();
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    session.insert("before", 1)?;
                    next.map_or_else(|| session.clear_owner(), |next| session.set_owner(next))?;
                    session.insert("after", 1)
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert_ne!(jar.value, old.value, "{name}");
            assert_eq!(seen(&site, &jar).await, format!("after {next:?} 1s"), "{name}");
            assert!(!is_live(&site, &old).await, "{name}: no forward leads from one owner to the next");
            // When another person logs in next, nothing of the first is there.
            site.visit(&mut jar, async |session: Session| session.login("alice")).await;
            let keys = if next.is_some() { "" } else { "after" };
            assert_eq!(seen(&site, &jar).await, format!(r#"{keys} Some("alice") 1s"#), "{name}");
        }
    }
}

/// The session is revoked before the request that removes its owner commits.
#[tokio::test]
async fn removing_the_owner_revives_no_revoked_session() {
    for next in [None, Some("bob")] {
        for renews in [false, true] {
            let site = Site::new();
            let mut jar = site.member("ada").await;
            let store = site.store.inner().clone();
            let clock = site.clock.clone();
            site.visit(&mut jar, async move |session: Session| {
                let until = clock.now() + 48 * HOUR;
                store.renew_epoch("ada", Usage { used_at: clock.now(), expires_at: until }).await.unwrap();
                next.map_or_else(|| session.clear_owner(), |next| session.set_owner(next))?;
                if renews { session.renew() } else { Ok(()) }
            })
            .await;
            let reply = site.send(&jar, async |session: Session| session.keys().join(",")).await;
            assert_eq!(reply.body, "", "the data of a revoked session is back: {next:?}, {renews}");
        }
    }
}

#[tokio::test]
async fn a_session_that_gets_its_first_owner_keeps_token_and_data() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let reply = site.visit(&mut jar, async |session: Session| session.set_owner("ada")).await;
    assert!(reply.sets_no_cookie());
    assert_eq!(seen(&site, &jar).await, r#"n Some("ada") 1s"#);
    let reply = site.visit(&mut jar, async |session: Session| session.set_owner("ada")).await;
    assert!(reply.sets_no_cookie());
    assert_eq!(seen(&site, &jar).await, r#"n Some("ada") 1s"#);
}

#[tokio::test]
async fn clear_keeps_the_owner_logged_in() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let reply = site.visit(&mut jar, async |session: Session| session.clear()).await;
        assert!(reply.sets_no_cookie(), "{name}");
        assert_eq!(seen(&site, &jar).await, r#" Some("ada") 1s"#, "{name}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Revoke,
    RevokeOne,
    Remove,
    Clear,
}

impl Way {
    const ALL: [Self; 4] = [Self::Revoke, Self::RevokeOne, Self::Remove, Self::Clear];

    async fn end(self, sessions: &Sessions, id: &SessionId) -> Result<(), Error> {
        match self {
            Self::Revoke => sessions.revoke_all("ada").await.map(drop),
            Self::RevokeOne => sessions.revoke_one("ada", id).await.map(|was| assert!(was)),
            Self::Remove => sessions.end(id).await.map(|was| assert!(was)),
            Self::Clear => sessions.end_all().await.map(drop),
        }
    }
}

/// Whether this store can list all sessions.
fn can(way: Way, name: &str) -> bool {
    !(matches!(way, Way::Clear) && name == "provided")
}

#[tokio::test]
async fn a_logout_removes_the_cookie_after_the_handler_has_ended_the_session_by_other_means() {
    for way in Way::ALL {
        for (name, site) in sites() {
            if !can(way, name) {
                continue;
            }
            for (destroys_first, moves) in [(false, false), (true, false), (false, true)] {
                let mut jar = site.member("ada").await;
                let sessions = site.layer.sessions();
                let (twin, other) = (site.clone(), jar.clone());
                let reply = site
                    .visit(&mut jar, async move |session: Session| {
                        let id = session.id().unwrap();
                        if moves {
                            twin.send(&other, async |session: Session| session.renew()).await;
                        }
                        if destroys_first {
                            assert!(session.destroy_now().await?);
                            sessions.revoke_all("ada").await?;
                        } else {
                            way.end(&sessions, &id).await?;
                            session.destroy()?;
                        }
                        ok()
                    })
                    .await;
                let place = format!("{way:?} {name} {destroys_first} {moves}");
                assert_eq!(reply.status, StatusCode::OK, "{place}");
                assert_eq!(jar.value, None, "{place}: {:?}", reply.cookies());
                assert_eq!(reply.cookies().len(), 1, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn writes_after_the_handler_has_ended_the_session_are_dropped_with_an_event() {
    for way in Way::ALL {
        for (name, site) in sites() {
            if !can(way, name) {
                continue;
            }
            let jar = site.member("ada").await;
            let sessions = site.layer.sessions();
            let (events, _kept) = Events::keep();
            let reply = site
                .send(&jar, async move |session: Session| {
                    way.end(&sessions, &session.id().unwrap()).await?;
                    session.insert("late", 1)?;
                    ok()
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{way:?} {name}");
            assert_eq!(events.count(Level::WARN, BLOCKED), 1, "{way:?} {name}: {:?}", events.all());
            assert!(!is_live(&site, &jar).await, "{way:?} {name}");
            let jar = site.member("ada").await;
            let sessions = site.layer.sessions();
            site.send(&jar, async move |session: Session| {
                way.end(&sessions, &session.id().unwrap()).await?;
                session.insert("late", 1)?;
                assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Gone);
                ok()
            })
            .await;
        }
    }
}

/// The user changes the password: the other sessions end, and this one continues, even if it was renewed since it was
/// loaded.
#[tokio::test]
async fn the_session_that_revoke_others_keeps_can_be_written_to() {
    for (name, site) in sites() {
        for moves in [false, true] {
            let mut jar = site.member("ada").await;
            let other = site.member("ada").await;
            let (twin, own) = (site.clone(), jar.clone());
            let sessions = site.layer.sessions();
            let moved = Arc::new(std::sync::Mutex::new(jar.clone()));
            let slot = Arc::clone(&moved);
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    if moves {
                        let reply = twin.send(&own, async |session: Session| session.renew()).await;
                        slot.lock().unwrap().absorb(&reply);
                    }
                    assert!(sessions.revoke_others("ada", &session.id().unwrap()).await?);
                    session.insert("changed", 1)
                })
                .await;
            let place = format!("{name} {moves}");
            assert_eq!(reply.status, StatusCode::OK, "{place}");
            let jar = moved.lock().unwrap().clone();
            assert_eq!(seen(&site, &jar).await, r#"changed,n Some("ada") 1s"#, "{place}");
            assert!(!is_live(&site, &other).await, "{place}");
        }
    }
}

/// The user signs out everywhere and logs in again here, in one request.
#[tokio::test]
async fn a_login_after_a_revocation_in_the_same_handler_creates_a_normal_session() {
    for (name, site) in sites() {
        for has_session in [true, false] {
            let mut jar = if has_session { site.member("ada").await } else { site.jar() };
            let old = jar.clone();
            let sessions = site.layer.sessions();
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    sessions.revoke_all("ada").await?;
                    session.login("ada")?;
                    session.insert("a", 1)?;
                    session.save().await?;
                    session.insert("b", 1)
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert_eq!(seen(&site, &jar).await, r#"a,b Some("ada") 1s"#, "{name} {has_session}");
            assert!(!has_session || !is_live(&site, &old).await, "{name}");
        }
    }
}

/// A request removes the session's owner while the owner's sessions are revoked. The revocation runs at each of the
/// request's store calls, before and after it takes effect. Afterwards no session of the owner is alive.
#[tokio::test]
async fn leaving_an_owner_beside_a_revocation_leaves_nothing_of_the_owner_at_any_await_point() {
    const CALLS: [Operation; 8] = [
        Operation::Load,
        Operation::OwnerEpoch,
        Operation::EnsureEpoch,
        Operation::Create,
        Operation::Update,
        Operation::Rename,
        Operation::End,
        Operation::Remove,
    ];
    let mut met = 0;
    for next in [None, Some("eve"), Some("ada")] {
        for (operation, step, nth) in CALLS
            .into_iter()
            .flat_map(|operation| [Step::Before, Step::After].map(|step| (operation, step)))
            .flat_map(|(operation, step)| [1, 2, 3].map(|nth| (operation, step, nth)))
        {
            for (name, site) in sites() {
                let jar = site.member("ada").await;
                let mut after = jar.clone();
                let (fault, gate) = Fault::pause();
                site.store.inject(fault.on(operation).at(step).nth(nth));
                let mut leaving = tokio::spawn(site.send(&jar, async move |session: Session| {
                    next.map_or_else(|| session.clear_owner(), |next| session.set_owner(next))?;
                    session.insert("own", 1)
                }));
                tokio::select! {
                    reply = &mut leaving => {
                        assert_eq!(reply.unwrap().status, StatusCode::OK, "it has no such call: {name} {operation:?}");
                        continue;
                    }
                    () = gate.reached() => {}
                }
                met += 1;
                // The gate has stopped its one call; the revocation's calls pass.
                site.layer.sessions().revoke_all("ada").await.unwrap();
                gate.release();
                let reply = leaving.await.unwrap();
                site.store.heal();
                after.absorb(&reply);
                let place = format!("{next:?} {operation:?} {step:?} {nth} {name} {}", reply.status);
                assert!(!is_live(&site, &jar).await || jar.value == after.value, "{place}: the old token");
                let found = seen(&site, &after).await;
                assert!(!found.starts_with("n ") && !found.contains("n,own"), "{place}: {found}");
                // If it was loaded after the revocation, it is a new session with the owner that the handler names.
                assert!(
                    !found.contains("ada") || (next == Some("ada") && jar.value != after.value),
                    "{place}: {found}"
                );
            }
        }
    }
    assert!(met > 50, "{met} await points");
}

#[tokio::test]
async fn writes_after_a_saved_login_over_a_revoked_session_are_stored() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let sessions = site.layer.sessions();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                sessions.revoke_all("ada").await?;
                session.login("ada")?;
                session.save().await?;
                session.update_now("count", |n: &mut u8| *n += 1).await?;
                session.update_now("count", |n: &mut u8| *n += 1).await?;
                session.insert("later", 1)
            })
            .await;
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{name}");
        let count = site.send(&jar, async |session: Session| session.get::<u8>("count").unwrap().unwrap().to_string());
        assert_eq!(count.await.body, "2", "{name}");
        assert_eq!(seen(&site, &jar).await, r#"count,later Some("ada") 1s"#, "{name}");
    }
}

/// `revoke_others` renews the owner's epoch and then carries the kept session over. A request that loads in between
/// finds its session revoked and begins a fresh one, and the browser gets the new session's token. If the old session
/// were kept, nobody would have its token any more, so it could not be logged out.
#[tokio::test]
async fn a_fresh_session_over_one_that_is_revoked_for_a_moment_ends_that_one() {
    // A login, and a plain insert.
    for owner in [Some("ada"), Some("eve"), None] {
        for is_carried_over_first in [true, false] {
            for (name, site) in sites() {
                let place = format!("{owner:?} {is_carried_over_first} {name}");
                let old = site.member("ada").await;
                let mut jar = old.clone();
                let reply = begin_anew_beside_revoke_others(&site, &mut jar, owner, is_carried_over_first).await;
                assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{place}");
                assert!(!is_live(&site, &old).await, "{place}: the token that the browser has dropped");
                assert_eq!(seen(&site, &jar).await, format!("new {owner:?} 1s"), "{place}");
                if name != "provided" {
                    let left = site.layer.sessions().of_owner("ada").await.unwrap().len();
                    assert_eq!(left, usize::from(owner == Some("ada")), "{place}");
                }
            }
        }
    }
}

/// The session that a login ends doesn't count towards its owner's limit.
#[tokio::test]
async fn a_login_over_a_session_that_is_revoked_for_a_moment_makes_room_for_itself() {
    for at_limit in [AtLimit::Refuse, AtLimit::EndOldest] {
        for most in [1, 2] {
            let site = Site::with(|builder| builder.sessions_per_owner(most, at_limit));
            let old = site.member("ada").await;
            let mut jar = old.clone();
            // The login waits for the revocation to end, so it is always the later one.
            let reply = begin_anew_beside_revoke_others(&site, &mut jar, Some("ada"), true).await;
            assert_eq!(reply.status, StatusCode::OK, "{at_limit:?} {most}");
            let other = if most > 1 { Some(site.member("ada").await) } else { None };
            assert!(!is_live(&site, &old).await, "{at_limit:?} {most}");
            for jar in [Some(jar), other].into_iter().flatten() {
                assert!(is_live(&site, &jar).await, "{at_limit:?} {most}");
            }
        }
    }
}

/// If the revoked session can't be ended, no fresh one begins.
#[tokio::test]
async fn a_fresh_session_is_refused_where_the_revoked_one_can_not_be_ended() {
    let site = Site::new();
    let old = site.member("ada").await;
    let mut jar = old.clone();
    let gate = site.store.pause(Operation::Update, Step::Before);
    let (sessions, id) = (site.layer.sessions(), old.id());
    let keeping = tokio::spawn(async move { sessions.revoke_others("ada", &id).await });
    gate.reached().await;
    site.store.heal();
    site.store.inject(Fault::unavailable().on(Operation::Load).after_first(1));
    let reply = site.visit(&mut jar, async |session: Session| session.login("eve")).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.sets_no_cookie());
    site.store.heal();
    gate.release();
    assert!(keeping.await.unwrap().unwrap());
    assert!(is_live(&site, &old).await, "the browser still has its token");
    assert!(site.layer.sessions().of_owner("eve").await.unwrap().is_empty());
}

/// A request of the kept session is loaded while it is revoked, and is committed before or after it is carried over.
async fn begin_anew_beside_revoke_others(
    site: &Site,
    jar: &mut Jar,
    owner: Option<&'static str>,
    is_carried_over_first: bool,
) -> Reply {
    let (fault, gate) = Fault::pause();
    site.store.inject(fault.on(Operation::Update).session(&jar.id()).nth(1));
    let (sessions, id) = (site.layer.sessions(), jar.id());
    let mut keeping = tokio::spawn(async move { sessions.revoke_others("ada", &id).await.unwrap() });
    gate.reached().await;
    let stop = Stop::new();
    let handler = stop.clone();
    let sending = tokio::spawn(site.send(jar, async move |session: Session| {
        assert!(session.is_new(), "it is revoked");
        handler.here().await;
        owner.map_or(Ok(()), |owner| session.login(owner))?;
        session.insert("new", 1)
    }));
    stop.reached().await;
    let mut gate = Some(gate);
    if is_carried_over_first {
        gate.take().into_iter().for_each(Gate::release);
        assert!((&mut keeping).await.unwrap());
        assert!(is_live(site, jar).await);
    }
    stop.go();
    let reply = sending.await.unwrap();
    jar.absorb(&reply);
    if let Some(gate) = gate {
        gate.release();
        assert!(keeping.await.unwrap());
    }
    reply
}

/// The layer's own renewal doesn't request a new session; a handler's `renew` does.
#[tokio::test]
async fn a_renewal_that_meets_a_logout_begins_a_session_only_where_the_handler_asks_for_it() {
    for asks in [false, true] {
        let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
        let mut jar = site.member("ada").await;
        site.clock.advance(5 * MINUTE);
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.insert("mine", 1)?;
                twin.send(&other, async |session: Session| session.destroy()).await;
                if asks { session.renew() } else { Ok(()) }
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{asks}");
        assert_eq!(reply.cookies().len(), usize::from(asks), "{asks}: {:?}", reply.cookies());
        if asks {
            assert_eq!(seen(&site, &jar).await, "mine None 1s");
        } else {
            assert_eq!(site.store.inner().count().await.unwrap(), 0);
        }
    }
}
