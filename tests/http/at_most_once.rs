//! Values that are taken or created at most once among concurrent requests, and closures that refuse.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use session_layer::{
    ConflictPolicy, ErrorKind, Session, Typed,
    conformance::{Operation, fault::Fault},
    store::StoreErrorKind,
};
use tokio::sync::Barrier;

use crate::{
    stores::{places, sites},
    support::*,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_hundred_concurrent_takes_gets_the_value() {
    for policy in [ConflictPolicy::Merge, ConflictPolicy::LastWriteWins] {
        for place in places(move |builder| builder.conflict_policy(policy)).await {
            let (site, name) = (&place.site, place.name);
            let mut jar = site.jar();
            site.visit(&mut jar, async |session: Session| session.insert("state", "once")).await;
            let barrier = Arc::new(Barrier::new(20));
            let requests: Vec<_> = (0..100)
                .map(|_| {
                    let barrier = Arc::clone(&barrier);
                    tokio::spawn(site.send(&jar, async move |session: Session| {
                        barrier.wait().await;
                        session.take_now::<String>("state").await.map(Option::unwrap_or_default)
                    }))
                })
                .collect();
            let mut got = 0;
            for request in requests {
                let reply = request.await.unwrap();
                assert_eq!(reply.status, StatusCode::OK, "{name}");
                got += usize::from(reply.body == "once");
            }
            assert_eq!(got, 1, "{name} {policy:?}");
        }
    }
}

/// The take is done and its answer lost, or it is never done. The taker can't tell which, so a value that another
/// request may have taken is given to nobody.
#[tokio::test]
async fn a_value_whose_take_was_not_answered_is_given_at_most_once() {
    let faults = [
        (Fault::outcome_unknown(), ""),
        (Fault::error(StoreErrorKind::OutcomeUnknown), "once"),
        (Fault::unavailable(), "once"),
    ];
    for (fault, second) in faults {
        for (name, site) in sites() {
            let mut jar = site.jar();
            site.visit(&mut jar, async |session: Session| session.insert("state", "once")).await;
            site.store.inject(fault.clone().on(Operation::Update).first(1));
            let reply = site
                .send(&jar, async |session: Session| {
                    session.take_now::<String>("state").await.unwrap_err();
                    session.take_now::<String>("state").await.map(Option::unwrap_or_default)
                })
                .await;
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, second), "{name} {fault:?}");
            let third =
                async |session: Session| session.take_now::<String>("state").await.map(Option::unwrap_or_default);
            assert_eq!(site.send(&jar, third).await.body, "", "{name} {fault:?}");
        }
    }
}

/// A request that writes other entries meanwhile does not bring the value back.
#[tokio::test]
async fn a_taken_value_does_not_come_back_under_last_write_wins() {
    let site = Site::with(|builder| builder.conflict_policy(ConflictPolicy::LastWriteWins));
    let mut jar = site.jar();
    site.visit(&mut jar, async |session: Session| session.insert("state", "once")).await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            let take =
                async |session: Session| session.take_now::<String>("state").await.map(Option::unwrap_or_default);
            assert_eq!(twin.send(&other, take).await.body, "once");
            session.insert("mine", 1)?;
            session.take_now::<String>("state").await.map(Option::unwrap_or_default)
        })
        .await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, ""));
}

#[tokio::test]
async fn a_value_of_another_type_is_not_taken() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.send(&jar, async |session: Session| {
        assert_eq!(session.take_now::<String>("n").await.unwrap_err().kind(), ErrorKind::Decode);
    })
    .await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn take_now_is_refused_over_a_store_that_overwrites() {
    let below = Site::new();
    let site = Site::over(
        below.store.clone().posing_as_overwriting(true),
        below.store.clone(),
        below.clock.clone(),
        |builder| builder,
    );
    let jar = site.visitor().await;
    site.send(&jar, async |session: Session| {
        assert_eq!(session.take_now::<u8>("n").await.unwrap_err().kind(), ErrorKind::Unsupported);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_that_create_a_value_all_get_the_stored_one() {
    for place in places(|builder| builder).await {
        let (site, name) = (&place.site, place.name);
        let mut jar = site.jar();
        site.visit(&mut jar, async |session: Session| session.insert("n", 1)).await;
        let barrier = Arc::new(Barrier::new(20));
        let requests: Vec<_> = (0..40)
            .map(|number| {
                let barrier = Arc::clone(&barrier);
                tokio::spawn(site.send(&jar, async move |session: Session| {
                    barrier.wait().await;
                    let token = session.get_or_insert_with_now("csrf", || number).await?;
                    Ok::<_, session_layer::Error>(token.to_string())
                }))
            })
            .collect();
        let mut got = BTreeSet::new();
        for request in requests {
            let reply = request.await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            got.insert(reply.body);
        }
        let stored = site.send(&jar, async |s: Session| s.get::<u32>("csrf").unwrap().unwrap().to_string()).await.body;
        assert_eq!(got, BTreeSet::from([stored]), "{name}");
    }
}

#[tokio::test]
async fn a_value_created_earlier_in_the_request_yields_to_another_requests() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            assert_eq!(session.get_or_insert_with("csrf", || 1)?, 1);
            twin.send(&other, async |session: Session| session.get_or_insert_with("csrf", || 2).map(drop)).await;
            assert_eq!(session.get_or_insert_with_now("csrf", || 3).await?, 2, "what is stored");
            assert_eq!(session.get("csrf")?, Some(2));
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK, "it is never a conflict");
    assert_eq!(site.entry(&jar, "csrf").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_closure_that_leaves_the_default_as_it_was_writes_nothing() {
    let site = Site::new();
    let reply = site
        .send(&site.jar(), async |session: Session| {
            session.update("cart", |cart: &mut Vec<String>| cart.retain(|_| false))?;
            session.update_now("cart", |cart: &mut Vec<String>| cart.clear()).await?;
            let clear = |cart: &mut Vec<String>| {
                cart.clear();
                Ok::<_, ()>(())
            };
            session.try_update("cart", clear)?.unwrap();
            let shop: Typed<Shop> = Typed::new(session);
            shop.update(|shop| shop.cart.clear())?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.total(), 0);
    // A stored value is still changed to the default, and `modify` sets `Some(default)`.
    let jar = site.visitor().await;
    site.send(&jar, async |session: Session| {
        session.update("n", |n: &mut u8| *n = 0)?;
        session.modify("m", |m: &mut Option<u8>| *m = Some(0))
    })
    .await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("0"));
    assert_eq!(site.entry(&jar, "m").await.as_deref(), Some("0"));
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Shop {
    #[serde(default)]
    cart: Vec<u8>,
}

fn at_most_two(cart: &mut Vec<u8>) -> Result<usize, &'static str> {
    cart.push(9);
    if cart.len() > 2 { Err("full") } else { Ok(cart.len()) }
}

/// The closure refuses at once, or when it runs again on another request's addition.
#[tokio::test]
async fn a_closure_that_refuses_changes_nothing_on_its_first_run_or_a_replay() {
    type Add = fn(&Session) -> Result<usize, &'static str>;
    let ways: [(&str, Add); 3] = [
        ("try_update", |s| s.try_update("cart", at_most_two).unwrap()),
        ("try_modify", |s| {
            s.try_modify("cart", |cart: &mut Option<Vec<u8>>| at_most_two(cart.get_or_insert_default())).unwrap()
        }),
        ("typed", |s| Typed::<Shop>::new(s.clone()).try_update(|shop| at_most_two(&mut shop.cart)).unwrap()),
    ];
    for (way, add) in ways {
        let site = Site::new();
        let mut jar = site.jar();
        site.visit(&mut jar, async |session: Session| session.insert("cart", [1])).await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                assert_eq!(add(&session), Ok(2));
                assert_eq!(add(&session), Err("full"));
                assert_eq!(session.get("cart")?, Some(vec![1, 9]));
                twin.send(&other, async |s: Session| s.update("cart", |cart: &mut Vec<u8>| cart.push(2))).await;
                session.insert("other", 1)
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{way}");
        assert_eq!(site.entry(&jar, "cart").await.as_deref(), Some("[1,2]"), "{way}");
        assert_eq!(site.entry(&jar, "other").await.as_deref(), Some("1"), "{way}: the rest is saved");
    }
}

#[tokio::test]
async fn a_closure_that_refuses_at_the_commit_is_an_error() {
    let site = Site::new();
    let mut jar = site.jar();
    site.visit(&mut jar, async |session: Session| session.insert("cart", [1])).await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            twin.send(&other, async |s: Session| s.update("cart", |cart: &mut Vec<u8>| cart.push(2))).await;
            assert_eq!(session.try_update_now("cart", at_most_two).await?, Err("full"));
            let shop: Typed<Shop> = Typed::new(session.clone());
            assert_eq!(shop.try_update_now(|shop| at_most_two(&mut shop.cart)).await?, Err("full"));
            assert_eq!(session.modify_now("cart", |cart: &mut Option<Vec<u8>>| cart.take().unwrap().len()).await?, 2);
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "cart").await, None);
}
