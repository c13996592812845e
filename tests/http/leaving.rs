//! Nothing of one person is left to the next, and what was revoked stays revoked.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use session_layer::{
    Error, ErrorKind, Lifetime, Session, SessionId, SessionStore, Sessions,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
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
async fn a_login_does_not_inherit_how_long_the_session_before_it_was_to_live() {
    for (name, site) in sites() {
        // An anonymous visitor's, the same owner's and another owner's.
        for owner in [None, Some("ada"), Some("bob")] {
            let mut jar = site.jar();
            site.visit(&mut jar, async move |session: Session| {
                owner.map_or(Ok(()), |owner| session.login(owner))?;
                session.set_lifetime(remembered())?;
                session.insert("n", &1)
            })
            .await;
            let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
            assert!(!reply.cookies()[0].contains("Max-Age"), "{name} {owner:?}: {:?}", reply.cookies());
            let keys = if owner == Some("bob") { "" } else { "n" };
            assert_eq!(seen(&site, &jar).await, format!(r#"{keys} Some("ada") 1s"#), "{name} {owner:?}");
        }
    }
}

#[tokio::test]
async fn a_lifetime_that_the_same_request_sets_is_the_logins_before_it_or_after() {
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

/// Also where it was saved before the session was ended.
#[tokio::test]
async fn a_lifetime_that_was_set_for_a_session_that_was_ended_is_not_the_next_ones() {
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
async fn a_session_that_is_taken_from_its_owner_begins_anew_under_a_new_token() {
    for (name, site) in sites() {
        for next in [None, Some("eve")] {
            let mut jar = site.jar();
            site.visit(&mut jar, async |session: Session| {
                session.login("bob")?;
                session.set_lifetime(remembered())?;
                session.insert("secret", &1)
            })
            .await;
            let old = jar.clone();
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    session.insert("before", &1)?;
                    session.set_owner(next)?;
                    session.insert("after", &1)
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert_ne!(jar.value, old.value, "{name}");
            assert_eq!(seen(&site, &jar).await, format!("after {next:?} 1s"), "{name}");
            assert!(!is_live(&site, &old).await, "{name}: no forward leads from one owner to the next");
            // And then the other one's login: nothing of the first is there.
            site.visit(&mut jar, async |session: Session| session.login("alice")).await;
            let keys = if next.is_some() { "" } else { "after" };
            assert_eq!(seen(&site, &jar).await, format!(r#"{keys} Some("alice") 1s"#), "{name}");
        }
    }
}

#[tokio::test]
async fn a_session_that_gets_its_first_owner_keeps_token_and_data() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let reply = site.visit(&mut jar, async |session: Session| session.set_owner(Some("ada"))).await;
    assert!(reply.sets_no_cookie());
    assert_eq!(seen(&site, &jar).await, r#"n Some("ada") 1s"#);
    let reply = site.visit(&mut jar, async |session: Session| session.set_owner(Some("ada"))).await;
    assert!(reply.sets_no_cookie());
    assert_eq!(seen(&site, &jar).await, r#"n Some("ada") 1s"#);
}

#[tokio::test]
async fn clear_is_no_logout_and_keeps_the_owner() {
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
            Self::Revoke => sessions.revoke("ada").await.map(drop),
            Self::RevokeOne => sessions.revoke_one("ada", id).await.map(|was| assert!(was)),
            Self::Remove => sessions.remove(id).await.map(|was| assert!(was)),
            Self::Clear => sessions.clear().await.map(drop),
        }
    }
}

/// Whether the store of this name has all sessions at hand.
fn can(way: Way, name: &str) -> bool {
    !(matches!(way, Way::Clear) && name == "provided")
}

#[tokio::test]
async fn a_logout_after_the_handler_has_ended_the_session_in_another_way_removes_the_cookie() {
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
                            sessions.revoke("ada").await?;
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
async fn what_is_written_after_the_handler_has_ended_the_session_is_dropped_with_an_event() {
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
                    session.insert("late", &1)?;
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
                session.insert("late", &1)?;
                assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Gone);
                ok()
            })
            .await;
        }
    }
}

/// A password was changed: the others are ended, and this one goes on; also where it was renewed since it was loaded.
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
                    session.insert("changed", &1)
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

/// Signed out everywhere, and in again here, in one request.
#[tokio::test]
async fn a_login_after_a_revocation_in_the_same_handler_is_a_session_like_any() {
    for (name, site) in sites() {
        for has_session in [true, false] {
            let mut jar = if has_session { site.member("ada").await } else { site.jar() };
            let old = jar.clone();
            let sessions = site.layer.sessions();
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    sessions.revoke("ada").await?;
                    session.login("ada")?;
                    session.insert("a", &1)?;
                    session.save().await?;
                    session.insert("b", &1)
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert_eq!(seen(&site, &jar).await, r#"a,b Some("ada") 1s"#, "{name} {has_session}");
            assert!(!has_session || !is_live(&site, &old).await, "{name}");
        }
    }
}

/// A request takes the session from its owner while the owner's sessions are revoked: at each of its calls, before and after
/// the store has done it, the revocation comes in between. Nothing of the owner is alive afterwards.
#[tokio::test]
async fn leaving_an_owner_beside_a_revocation_leaves_nothing_of_the_owner_at_any_await_point() {
    const CALLS: [Operation; 7] = [
        Operation::Load,
        Operation::OwnerEpoch,
        Operation::EnsureEpoch,
        Operation::Create,
        Operation::Update,
        Operation::Rename,
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
                    session.set_owner(next)?;
                    session.insert("own", &1)
                }));
                tokio::select! {
                    reply = &mut leaving => {
                        assert_eq!(reply.unwrap().status, StatusCode::OK, "it has no such call: {name} {operation:?}");
                        continue;
                    }
                    () = gate.reached() => {}
                }
                met += 1;
                // The gate has stopped its one call: those of the revocation pass.
                site.layer.sessions().revoke("ada").await.unwrap();
                gate.release();
                let reply = leaving.await.unwrap();
                site.store.heal();
                after.absorb(&reply);
                let place = format!("{next:?} {operation:?} {step:?} {nth} {name} {}", reply.status);
                assert!(!is_live(&site, &jar).await || jar.value == after.value, "{place}: the old token");
                let found = seen(&site, &after).await;
                assert!(!found.starts_with("n ") && !found.contains("n,own"), "{place}: {found}");
                // Where it was loaded after the revocation, it is a new session, and the handler says whose.
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
async fn what_is_written_after_a_login_over_a_revoked_session_was_saved_is_stored() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let sessions = site.layer.sessions();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                sessions.revoke("ada").await?;
                session.login("ada")?;
                session.save().await?;
                session.update_now("count", |n: &mut u8| *n += 1).await?;
                session.update_now("count", |n: &mut u8| *n += 1).await?;
                session.insert("later", &1)
            })
            .await;
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{name}");
        let count = site.send(&jar, async |session: Session| session.get::<u8>("count").unwrap().unwrap().to_string());
        assert_eq!(count.await.body, "2", "{name}");
        assert_eq!(seen(&site, &jar).await, r#"count,later Some("ada") 1s"#, "{name}");
    }
}

/// The layer's own renewal is no wish of the handler's to begin a session; `renew` is.
#[tokio::test]
async fn a_renewal_that_meets_a_logout_begins_a_session_only_where_the_handler_asks_for_it() {
    for asks in [false, true] {
        let site = Site::with(|builder| builder.renew_every(2 * MINUTE));
        let mut jar = site.member("ada").await;
        site.clock.advance(5 * MINUTE);
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.insert("mine", &1)?;
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
