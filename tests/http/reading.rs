//! An entry that a request has read, and that another has changed since, is not overwritten silently.

use std::sync::Arc;

use http::StatusCode;
use session_layer::{
    ConflictPolicy, Error, ErrorKind, Session, Typed,
    conformance::{Operation, fault::Step},
};
use tokio::sync::Barrier;

use crate::{
    stores::{places, sites},
    support::*,
};

/// A request over `n` = 1 runs `mine`; before it commits, another request runs `theirs`.
async fn race<M, T>(site: &Site, jar: &Jar, mine: M, theirs: T) -> Reply
where
    M: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
    T: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
{
    let (twin, other) = (site.clone(), jar.clone());
    site.send(jar, async move |session: Session| {
        mine(&session)?;
        let theirs = theirs.clone();
        let reply = twin.send(&other, async move |session: Session| theirs(&session)).await;
        assert_eq!(reply.status, StatusCode::OK);
        ok()
    })
    .await
}

type Act = fn(&Session) -> Result<(), Error>;

fn seven(session: &Session) -> Result<(), Error> {
    session.insert("n", 7)
}

fn removed(session: &Session) -> Result<(), Error> {
    session.remove("n").map(drop)
}

fn both(session: &Session) -> Result<(), Error> {
    session.insert("n", 7)?;
    session.insert("new", 7)
}

const READ_AND_SET: Act = |session| {
    let n: u8 = session.get("n")?.unwrap();
    session.insert("n", n + 1)
};

#[tokio::test]
async fn setting_or_taking_an_entry_changed_since_it_was_read_is_a_conflict_that_names_the_key() {
    let acts: [(&str, Act, Act); 9] = [
        ("get and insert", READ_AND_SET, seven),
        ("get and insert over a removal", READ_AND_SET, removed),
        ("get and remove", |s| s.get::<u8>("n").and_then(|_| s.remove("n")).map(drop), seven),
        ("take", |s| s.take::<u8>("n").map(drop), seven),
        (
            "contains and insert",
            |s| {
                assert!(s.contains("n"));
                s.insert("n", 2)
            },
            seven,
        ),
        (
            "the same of an absent one",
            |s| {
                assert!(!s.contains("new"));
                s.insert("new", 2)
            },
            both,
        ),
        (
            "get_or_default and insert",
            |s| {
                s.get_or_default::<u8>("new")?;
                s.insert("new", 2)
            },
            both,
        ),
        (
            "twice inserted",
            |s| {
                READ_AND_SET(s)?;
                s.insert("n", 9)
            },
            seven,
        ),
        (
            "read after an update",
            |s| {
                s.update("n", |n: &mut u8| *n += 1)?;
                READ_AND_SET(s)
            },
            seven,
        ),
    ];
    for (act, mine, theirs) in acts {
        for (name, site) in sites() {
            let jar = site.visitor().await;
            let before = async || {
                site.send(&jar, async |s: Session| format!("{:?}{:?}", s.get::<u8>("n"), s.get::<u8>("new"))).await.body
            };
            let reply = race(&site, &jar, mine, theirs).await;
            assert_eq!(reply.status, StatusCode::CONFLICT, "{act} {name}");
            let twin = site.visitor().await;
            site.send(&twin, async move |s: Session| theirs(&s)).await;
            let expected = site
                .send(&twin, async |s: Session| format!("{:?}{:?}", s.get::<u8>("n"), s.get::<u8>("new")))
                .await
                .body;
            assert_eq!(before().await, expected, "{act} {name}: the other's stays");
        }
    }
    // The error of `save` names the entry.
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    site.send(&jar, async move |session: Session| {
        READ_AND_SET(&session)?;
        twin.send(&other, async |session: Session| seven(&session)).await;
        let error = session.save().await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("n")));
        ok()
    })
    .await;
}

#[tokio::test]
async fn unread_or_already_removed_entries_cause_no_conflict() {
    let acts: [(&str, Act, Act, Option<&str>); 12] = [
        ("a blind insert wins", |s| s.insert("n", 2), seven, Some("2")),
        ("a blind remove wins", |s| s.remove("n").map(drop), seven, None),
        (
            "reading another entry",
            |s| {
                s.get::<u8>("other")?;
                s.insert("n", 2)
            },
            seven,
            Some("2"),
        ),
        ("only read", |s| s.get::<u8>("n").map(drop), seven, Some("7")),
        (
            "keys and len",
            |s| {
                assert_eq!((s.keys().len(), s.len()), (1, 1));
                s.insert("n", 2)
            },
            seven,
            Some("2"),
        ),
        (
            "one's own blind write",
            |s| {
                s.insert("n", 2)?;
                s.get::<u8>("n")?;
                s.insert("n", 3)
            },
            seven,
            Some("3"),
        ),
        (
            "removing what is gone",
            |s| {
                s.get::<u8>("n")?;
                s.remove("n").map(drop)
            },
            removed,
            None,
        ),
        ("taking what is gone", |s| s.take::<u8>("n").map(drop), removed, None),
        (
            "clearing",
            |s| {
                READ_AND_SET(s)?;
                s.clear()?;
                s.insert("n", 4)
            },
            seven,
            Some("4"),
        ),
        (
            "update",
            |s| {
                s.get::<u8>("n")?;
                s.update("n", |n: &mut u8| *n += 1)
            },
            seven,
            Some("8"),
        ),
        (
            "modify",
            |s| {
                s.get::<u8>("n")?;
                s.modify("n", |n: &mut Option<u8>| *n = n.map(|n| n + 1))
            },
            seven,
            Some("8"),
        ),
        ("get_or_insert_with", |s| s.get_or_insert_with("n", || 5u8).map(drop), removed, None),
    ];
    for (act, mine, theirs, left) in acts {
        for (name, site) in sites() {
            let jar = site.visitor().await;
            let reply = race(&site, &jar, mine, theirs).await;
            assert_eq!(reply.status, StatusCode::OK, "{act} {name}");
            let n = site
                .send(&jar, async |s: Session| s.get::<u8>("n").unwrap().map_or(String::new(), |n| n.to_string()))
                .await;
            assert_eq!(n.body, left.unwrap_or_default(), "{act} {name}");
        }
    }
}

/// The request knows the value that it has set itself, also after a save. Another request's later change is a conflict.
#[tokio::test]
async fn a_save_does_not_count_as_reading_the_entries_it_merged() {
    for changes_before_the_save in [true, false] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                let n: u8 = session.get("n")?.unwrap();
                let elsewhere = async || twin.send(&other, async |session: Session| seven(&session)).await;
                if changes_before_the_save {
                    elsewhere().await;
                }
                session.insert("a", 1)?;
                session.save().await?;
                if !changes_before_the_save {
                    elsewhere().await;
                }
                session.insert("n", n + 1)?;
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "before: {changes_before_the_save}");
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"));
    }
}

#[tokio::test]
async fn reload_forgets_which_entries_were_read() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.get::<u8>("n")?;
            twin.send(&other, async |session: Session| seven(&session)).await;
            session.reload().await?;
            assert_eq!(session.get("n")?, Some(7));
            session.insert("n", 8)?;
            session.save().await?;
            session.insert("n", 9)?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("9"));
}

/// A login after the session has ended puts the request's own changes into a fresh session, of which nothing was read.
#[tokio::test]
async fn a_fresh_session_is_not_compared_with_the_old_ones_read_entries() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let sessions = site.layer.sessions();
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            READ_AND_SET(&session)?;
            session.login("ada")?;
            sessions.end(&session.id().unwrap()).await?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_setting_goes_back_to_the_last_write_for_each_key() {
    let site = Site::with(|builder| builder.conflict_policy(ConflictPolicy::MergeLastWriteWins));
    let jar = site.visitor().await;
    let reply = race(&site, &jar, READ_AND_SET, both).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(site.entry(&jar, "new").await.as_deref(), Some("7"), "keys are still merged");
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Shop {
    #[serde(default)]
    n: u8,
    #[serde(default)]
    m: u8,
}

#[tokio::test]
async fn setting_a_typed_field_that_was_read_and_has_changed_since_is_a_conflict() {
    for (field, status) in [("n", StatusCode::CONFLICT), ("m", StatusCode::OK)] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |shop: Typed<Shop>| {
                let mut value = shop.get()?;
                value.n += 1;
                shop.set(&value)?;
                twin.send(&other, async move |session: Session| session.insert(field, 7)).await;
                ok()
            })
            .await;
        assert_eq!(reply.status, status, "{field}");
        assert_eq!(site.entry(&jar, field).await.as_deref(), Some("7"), "{field}");
    }
}

/// A counter that is read and set: each request answered 200 has counted, and no other has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_concurrent_read_and_set_requests_exactly_those_answered_200_count() {
    for place in places(|builder| builder).await {
        let (site, name) = (&place.site, place.name);
        let mut jar = site.jar();
        site.visit(&mut jar, async |session: Session| session.insert("cart", Vec::<u32>::new())).await;
        let barrier = Arc::new(Barrier::new(20));
        let requests: Vec<_> = (0..100_u32)
            .map(|number| {
                let barrier = Arc::clone(&barrier);
                tokio::spawn(site.send(&jar, async move |session: Session| {
                    let mut cart: Vec<u32> = session.get("cart")?.unwrap();
                    barrier.wait().await;
                    cart.push(number);
                    session.insert("cart", &cart)
                }))
            })
            .collect();
        let mut bought = Vec::new();
        for (number, request) in (0..).zip(requests) {
            match request.await.unwrap().status {
                StatusCode::OK => bought.push(number),
                status => assert_eq!(status, StatusCode::CONFLICT, "{name}"),
            }
        }
        let kept = site.send(&jar, async |s: Session| s.get::<Vec<u32>>("cart").map(|cart| format!("{cart:?}"))).await;
        let mut kept: Vec<u32> =
            kept.body.trim_matches(|c: char| !c.is_ascii_digit()).split(", ").map(|n| n.parse().unwrap()).collect();
        kept.sort_unstable();
        assert_eq!(kept, bought, "{name}");
        assert!(!bought.is_empty() && bought.len() < 100, "{name}: {} of 100", bought.len());
    }
}

/// A request that changes no entry must not write its older copy back, even if it renews the token and the last write
/// wins.
#[tokio::test]
async fn a_renewal_without_changes_overwrites_nothing_under_last_write_wins() {
    let site = Site::with(|builder| builder.conflict_policy(ConflictPolicy::LastWriteWins));
    let mut jar = site.visitor().await;
    let old = jar.clone();
    let gate = site.store.pause(Operation::Rename, Step::Before);
    let renewing = tokio::spawn(site.send(&jar, async |session: Session| session.renew()));
    gate.reached().await;
    assert_eq!(site.send(&old, async |session: Session| seven(&session)).await.status, StatusCode::OK);
    gate.release();
    let reply = renewing.await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    jar.absorb(&reply);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"));
}

/// Both calls return the stored value, so the handler has seen another request's change that came before.
#[tokio::test]
async fn a_value_returned_by_an_exact_change_counts_as_read() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            assert_eq!(session.get::<String>("csrf")?, None);
            twin.send(&other, async |session: Session| session.insert("csrf", "theirs")).await;
            assert_eq!(session.get_or_insert_with_now("csrf", || "mine".to_owned()).await?, "theirs");
            session.insert("csrf", "rotated")
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "csrf").await.as_deref(), Some(r#""rotated""#));
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            assert_eq!(session.get("n")?, Some(1));
            twin.send(&other, async |session: Session| session.update("n", |n: &mut u8| *n += 1)).await;
            let add = |n: &mut u8| {
                *n += 1;
                *n
            };
            let n = session.update_now("n", add).await?;
            assert_eq!(n, 3);
            session.insert("n", n + 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("4"));
}
