//! Security requirements as a client sees them. SECURITY.md lists them, with their other tests.

use std::{collections::HashSet, sync::Arc};

use axum::{Router, routing::any};
use http::StatusCode;
use session_layer::{
    CookieConfig, CookiePrefix, EncryptedStore, Error, ErrorKind, KeyRing, LazySession, Lifetime, SameSite, Session,
    SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Bare, Fault, Step},
    },
    id::SessionToken,
    store::{Listing, StoreErrorKind, Usage},
};
use tower::ServiceExt;
use tracing::Level;

use crate::support::*;

async fn is_live(site: &Site, jar: &Jar) -> bool {
    let reply = site.send(jar, async |session: Option<Session>| session.is_some().to_string()).await;
    assert_eq!(reply.status, StatusCode::OK);
    reply.body == "true"
}

#[tokio::test]
async fn tokens_have_192_random_bits_and_never_repeat() {
    let site = Site::new();
    let mut seen = HashSet::new();
    let mut ones = [0_u32; 192];
    for _ in 0..500 {
        let jar = site.visitor().await;
        let value = jar.value.unwrap();
        assert_eq!(value.len(), 32);
        for (at, c) in value.bytes().enumerate() {
            let six = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                .iter()
                .position(|&known| known == c)
                .unwrap();
            for bit in 0..6 {
                ones[at * 6 + bit] += u32::from(six >> bit & 1 == 1);
            }
        }
        assert!(seen.insert(value));
    }
    // For a fair coin, the chance that 500 throws fall outside 150 to 350 is 1 in 10^18.
    assert!(ones.iter().all(|ones| (150..=350).contains(ones)), "{ones:?}");
}

#[tokio::test]
async fn every_login_issues_a_new_token_and_ends_the_old_one() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    for _ in 0..3 {
        let old = jar.clone();
        let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
        assert_eq!(reply.cookies().len(), 1);
        assert_ne!(jar.value, old.value);
        assert!(!is_live(&site, &old).await);
        assert!(is_live(&site, &jar).await);
        let seen = site.send(&old, async |session: Session| format!("{:?}", (session.owner(), session.keys()))).await;
        assert_eq!(seen.body, "(None, [])");
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 1);
}

#[tokio::test]
async fn after_a_logout_the_token_opens_no_session() {
    let site = Site::new();
    let mut jar = site.member("ada").await;
    let old = jar.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.cookies().len(), 1);
    assert_eq!(jar.value, None, "the browser has dropped it");
    assert!(!is_live(&site, &old).await);
    // Writing with the dead token creates a session under a new one.
    let mut after = old.clone();
    site.visit(&mut after, async |session: Session| session.insert("n", 1)).await;
    assert_ne!(after.value, old.value);
}

/// The insert must not be stored under the destroyed session's id, or the old token would be valid again.
#[tokio::test]
async fn an_insert_after_destroy_gets_a_fresh_token() {
    for saves in [false, true] {
        let site = Site::new();
        let mut jar = site.member("ada").await;
        let old = jar.clone();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                if saves {
                    session.destroy_now().await?;
                } else {
                    session.destroy()?;
                }
                session.insert("flash", "signed out")
            })
            .await;
        assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1));
        assert!(jar.value.is_some() && jar.value != old.value);
        assert!(!is_live(&site, &old).await);
        assert!(site.stored(&old.id()).await.is_none());
        let seen = site.send(&jar, async |session: Session| format!("{:?}", (session.owner(), session.keys()))).await;
        assert_eq!(seen.body, r#"(None, ["flash"])"#);
    }
}

#[tokio::test]
async fn renewing_an_owners_epoch_ends_all_its_sessions_and_no_others() {
    let site = Site::new();
    let ada = [site.member("ada").await, site.member("ada").await];
    let bob = site.member("bob").await;
    let until = Usage { used_at: site.clock.now(), expires_at: site.clock.now() + 48 * HOUR };
    site.store.inner().renew_epoch("ada", until).await.unwrap();
    for jar in &ada {
        assert!(!is_live(&site, jar).await);
    }
    assert!(is_live(&site, &bob).await);
    assert!(is_live(&site, &site.member("ada").await).await, "a new login works");
    assert!(!is_live(&site, &ada[0]).await);
}

#[tokio::test]
async fn the_default_cookie_is_strict_and_within_the_size_limit() {
    let site = Site::new();
    let reply = site.send(&site.jar(), async |session: Session| session.insert("n", 1)).await;
    let line = reply.cookies()[0];
    assert!(line.starts_with("__Host-sid="));
    assert!(line.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{line}");
    assert!(line.split(';').next().unwrap().len() <= 4_096);
    let long = CookieConfig::new("n".repeat(255));
    let site = Site::with(|builder| builder.cookie(long));
    let reply = site.send(&site.jar(), async |session: Session| session.insert("n", 1)).await;
    assert!(reply.cookies()[0].split(';').next().unwrap().len() <= 4_096, "the longest name that is allowed");
}

/// Covers a whole session life, with its failures: the token appears in `Set-Cookie` and nowhere else.
#[tokio::test]
async fn the_token_appears_in_no_event_debug_output_error_or_record() {
    let (events, _guard) = Events::keep();
    let site = Site::new();
    let mut tokens = HashSet::new();
    let mut said = String::new();
    let mut jar = site.jar();
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let note = |seen: &Arc<std::sync::Mutex<String>>, text: String| seen.lock().unwrap().push_str(&text);
    for step in 0..6 {
        let kept = seen.clone();
        let reply = site
            .visit(&mut jar, async move |session: Session, lazy: LazySession, request: axum::extract::Request| {
                let handle = request.extensions().get::<session_layer::SessionHandle>().unwrap();
                let done = match step {
                    0 => session.insert("n", "the value of n"),
                    1 => session.login("ada"),
                    2 => session.renew(),
                    3 => session.insert("n", "another value"),
                    4 => session.destroy(),
                    _ => session.update("n", |n: &mut u8| *n += 1),
                };
                let saved = session.save().await;
                kept.lock().unwrap().push_str(&format!("{session:?} {lazy:?} {handle:?} {done:?} {saved:?}"));
            })
            .await;
        note(&seen, format!("{:?} {:?}", reply.headers, site.layer));
        tokens.extend(jar.value.clone());
        if let Some(value) = &jar.value {
            for call in site.store.log() {
                let Some(id) = call.id else { continue };
                let Some(stored) = site.stored(&id).await else { continue };
                let bytes = stored.record.to_bytes();
                assert!(!String::from_utf8_lossy(&bytes).contains(value.as_str()));
                assert!(!id.to_string().contains(value.as_str()));
            }
        }
        site.store.forget();
    }
    // Rejections and their sources.
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt] {
        site.store.inject(Fault::error(kind).on(Operation::Load));
        let reply = site
            .send(&jar, async |session: Result<Session, Error>| {
                let error = session.unwrap_err();
                let source = std::error::Error::source(&error).map(ToString::to_string);
                format!("{error} {error:?} {source:?}")
            })
            .await;
        said.push_str(&reply.body);
        site.store.heal();
    }
    said.push_str(&seen.lock().unwrap());
    let all = events.all();
    assert!(tokens.len() >= 4);
    for token in &tokens {
        assert!(!said.contains(token.as_str()), "{said}");
        assert!(!all.iter().any(|event| event.contains(token.as_str())));
    }
    assert!(!all.iter().any(|event| event.contains("value of n")), "nor a value");
    assert!(!said.contains("value of n") && !said.contains("another value"));
    for message in ["session created", "session renewed", "session saved", "session destroyed"] {
        assert!(events.count(Level::DEBUG, message) >= 1, "{message}: {all:#?}");
    }
    assert!(all.iter().filter(|event| event.contains("session saved")).all(|event| event.contains("session.id=")));
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_never_adopted() {
    type Step = fn(&Session) -> Result<(), Error>;
    let steps: [Step; 6] = [
        |_| Ok(()),
        |session| session.clear(),
        |session| session.renew(),
        |session| session.destroy(),
        |session| session.login("ada"),
        |session| session.set_owner("ada"),
    ];
    for step in steps {
        for save in [false, true] {
            let (events, _guard) = Events::keep();
            let site = Site::new();
            let mut jar = site.jar();
            jar.value = Some("planted-by-somebody-else-0123456".to_owned());
            let planted = jar.clone();
            site.visit(&mut jar, async move |session: Session| {
                step(&session)?;
                session.insert("n", 1)?;
                if save { session.save().await } else { Ok(()) }
            })
            .await;
            assert_ne!(jar.value, planted.value);
            assert!(site.stored(&planted.id()).await.is_none());
            assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
            let told = events.all().iter().any(|event| event.contains("reason=\"unknown\""));
            assert!(told, "refused tokens are events: {:?}", events.all());
        }
    }
}

#[tokio::test]
async fn malformed_cookie_values_cost_no_store_call() {
    let site = Site::new();
    for value in ["", "short", &"x".repeat(33), &"x".repeat(100_000), "../../../../etc/passwd/../../xxxx", "\"quoted\""]
    {
        let cookies = format!("__Host-sid={value}; sid={}; __Secure-sid=x", "A".repeat(32));
        let router = site.router(async |session: Session| session.is_new().to_string());
        let reply = answered(router.oneshot(request(Some(&cookies))).await.unwrap()).await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "true"));
    }
    assert_eq!(site.store.total(), 0);
}

#[tokio::test]
async fn every_accessor_sets_vary_and_every_session_cookie_sets_no_store() {
    let site = Site::new();
    let jar = site.visitor().await;
    type Access = fn(&Session) -> Result<(), Error>;
    let reads: [Access; 9] = [
        |session| session.get::<u8>("n").map(drop),
        |session| session.get_or_default::<u8>("m").map(drop),
        |session| {
            let _ = session.keys();
            Ok(())
        },
        |session| {
            let _ = (session.contains("n"), session.len(), session.is_empty());
            Ok(())
        },
        |session| {
            let _ = (session.id(), session.is_new(), session.owner());
            Ok(())
        },
        |session| {
            let _ = (session.created_at(), session.expires_at(), session.lifetime());
            Ok(())
        },
        |session| session.insert("n", 1),
        |session| session.remove("nothing").map(drop),
        |session| {
            session.skip_touch();
            Ok(())
        },
    ];
    for read in reads {
        for jar in [&jar, &site.jar()] {
            let reply = site.send(
                jar,
                async move |session: Session| {
                    if session.is_new() { ok().map(drop) } else { read(&session) }
                },
            );
            let reply = reply.await;
            assert_eq!((reply.header("vary"), reply.header("cache-control")), ("Cookie".into(), "private".into()));
        }
    }
    for write in [(|session| session.renew()) as Access, |session| session.login("ada"), |session| session.destroy()] {
        let jar = site.visitor().await;
        let reply = site
            .send(&jar, async move |session: Session| {
                write(&session).unwrap();
                [("cache-control", "public, max-age=3600")]
            })
            .await;
        assert_eq!(reply.cookies().len(), 1);
        assert_eq!((reply.header("vary"), reply.header("cache-control")), ("Cookie".into(), "no-store".into()));
    }
}

#[tokio::test]
async fn one_set_cookie_line_per_name_and_removal_repeats_every_attribute() {
    let config = CookieConfig::new("id").path("/app").domain("example.org").same_site(SameSite::None).partitioned(true);
    let site = Site::with(|builder| builder.cookie(config)).named("__Secure-id");
    let mut jar = site.jar();
    let set = site
        .visit(&mut jar, async |session: Session| {
            session.insert("n", 1)?;
            session.save().await?;
            session.login("ada")?;
            session.save().await?;
            session.renew()?;
            Ok::<_, Error>([("set-cookie", "__Secure-id=the-handlers-own")])
        })
        .await;
    assert_eq!(set.cookies().len(), 1, "the last one");
    let removal = site.send(&jar, async |session: Session| session.destroy()).await;
    let attributes = |line: &str| {
        let mut parts: Vec<_> = line.split("; ").skip(1).map(str::to_owned).collect();
        parts.retain(|part| !part.starts_with("Max-Age") && !part.starts_with("Expires"));
        parts.sort();
        parts
    };
    assert_eq!(attributes(set.cookies()[0]), attributes(removal.cookies()[0]));
    assert!(removal.cookies()[0].contains("; Domain=example.org"));
    assert!(removal.cookies()[0].contains("; Partitioned"));
}

#[tokio::test]
async fn two_live_session_cookies_are_refused_in_either_order_and_a_logout_ends_both() {
    let site = Site::new();
    let jars = [site.visitor().await, site.visitor().await];
    for order in [[0, 1], [1, 0]] {
        let (events, _guard) = Events::keep();
        let cookies = order.map(|i| jars[i].line().unwrap()).join("; ");
        let router = site.router(async |session: Session| session.insert("n", 2));
        let reply = answered(router.oneshot(request(Some(&cookies))).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(events.count(Level::WARN, "two live session cookies"), 1);
    }
    assert_eq!(site.store.calls(Operation::Update), 0);
    let cookies = jars.each_ref().map(|jar| jar.line().unwrap()).join("; ");
    let router = site.router(async |lazy: LazySession| lazy.destroy().await.map(|ended| ended.to_string()));
    let reply = answered(router.oneshot(request(Some(&cookies))).await.unwrap()).await;
    assert_eq!(reply.body, "true");
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn the_store_never_sees_the_token_and_an_id_does_not_work_as_a_cookie() {
    let site = Site::new();
    let jar = site.visitor().await;
    let value = jar.value.clone().unwrap();
    let (id, check) = jar.identify();
    let stored = site.stored(&id).await.unwrap();
    let token = SessionToken::parse(&value).unwrap();
    assert_eq!(stored.record.check(), check);
    assert!(!value.as_bytes().windows(8).any(|part| id.to_string().as_bytes().windows(8).any(|other| other == part)));
    assert_eq!(token.identify("sid"), (id, check));
    // A reader of ids or records, in a log or in a copy of the store, can't build a cookie from them.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for guess in [id.to_string(), hex(id.as_bytes()), hex(&check.to_bytes()), id.to_string()[..32].to_owned()] {
        let mut forged = jar.clone();
        forged.value = Some(guess);
        assert!(!is_live(&site, &forged).await);
    }
    // The check is compared, so another session's record under this id is rejected.
    site.store.inject(Fault::another_check());
    assert!(!is_live(&site, &jar).await);
}

#[tokio::test]
async fn layers_on_one_store_reject_each_others_cookies() {
    let site = Site::new();
    let admin = SessionLayer::builder(site.store.clone())
        .cookie(CookieConfig::new("admin"))
        .clock(site.clock.clone())
        .build()
        .unwrap();
    let jar = site.visitor().await;
    let swapped = format!("__Host-admin={}", jar.value.as_deref().unwrap());
    let router: Router =
        Router::new().route("/", any(async |session: Session| session.is_new().to_string())).layer(admin);
    let reply = answered(router.oneshot(request(Some(&swapped))).await.unwrap()).await;
    assert_eq!(reply.body, "true");
    assert!(is_live(&site, &jar).await);
}

#[tokio::test]
async fn ten_thousand_anonymous_visits_and_logouts_leave_no_record() {
    let site = Site::new();
    let router = site.router(async |session: Session| {
        assert_eq!(session.get::<u8>("n")?, None);
        session.clear()?;
        session.renew()?;
        session.destroy()
    });
    let cookie = format!("__Host-sid={}", "B".repeat(32));
    for i in 0..10_000 {
        let cookie = (i % 2 == 0).then_some(&*cookie);
        let response = router.clone().oneshot(request(cookie)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("set-cookie"));
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
    // If events are enabled, the layer asks the store whether an expired session was there, to report the reason.
    let reads = site.store.calls(Operation::Load) + site.store.calls(Operation::Metadata);
    let writes = site.store.total() - reads;
    assert_eq!(writes, 0);
    // Nor do sessions that were created and then destroyed.
    for _ in 0..100 {
        let jar = site.visitor().await;
        site.send(&jar, async |session: Session| session.destroy()).await;
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn an_expired_record_from_the_store_is_rejected() {
    let long_ago = |mut stored: session_layer::store::Stored| {
        let record = (*stored.record).clone().with_created_at(std::time::UNIX_EPOCH);
        stored.record = Arc::new(record);
        Some(stored)
    };
    for fault in [Fault::expired(), Fault::alter(long_ago)] {
        let site = Site::with(|builder| builder.lifetime(Lifetime::default().persistent()));
        let jar = site.visitor().await;
        site.store.inject(fault);
        let mut after = jar.clone();
        let reply = site
            .visit(&mut after, async |session: Session| {
                assert!(session.is_new() && session.is_empty());
                session.insert("n", 2)
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_ne!(after.value, jar.value);
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"), "nothing was written to it");
    }
}

/// The fault comes before or after the step takes effect. Afterwards either the cookie in the visitor's browser leads
/// to the one live session with all data, or the answer was an error.
#[tokio::test]
async fn a_fault_at_any_step_of_a_renewal_leaves_one_live_session() {
    let faults = [StoreErrorKind::Unavailable, StoreErrorKind::Timeout, StoreErrorKind::OutcomeUnknown];
    for operation in [Operation::Load, Operation::Create, Operation::Update, Operation::Remove] {
        for (kind, step) in faults.into_iter().flat_map(|kind| [(kind, Step::Before), (kind, Step::After)]) {
            // The contract allows a change to have happened only after an error of kind `OutcomeUnknown`.
            if step == Step::After && kind != StoreErrorKind::OutcomeUnknown {
                continue;
            }
            for nth in 1..=3 {
                let below = Site::new();
                let site =
                    Site::over(Bare(below.store.clone()), below.store.clone(), below.clock.clone(), |builder| builder);
                let mut jar = site.visitor().await;
                let old = jar.clone();
                site.store.inject(Fault::error(kind).on(operation).at(step).nth(nth));
                let reply = site.visit(&mut jar, async |session: Session| session.renew()).await;
                site.store.heal();
                let place = format!("{kind:?} {step:?} {operation:?} {nth}: {}", reply.status);
                let n = site.entry(&jar, "n").await;
                if reply.status == StatusCode::OK {
                    assert_ne!(jar.value, old.value, "{place}");
                    let id = async |jar: &Jar| {
                        site.send(jar, async |session: Session| format!("{:?}", session.id())).await.body
                    };
                    assert_eq!(id(&old).await, id(&jar).await, "{place}: the old token leads to it");
                    assert_eq!(site.store.inner().count().await.unwrap(), 1, "{place}");
                    assert_eq!(n.as_deref(), Some("1"), "{place}");
                } else {
                    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{place}");
                    assert_eq!(jar.value, old.value, "{place}: an error, and the old cookie");
                    let unknown = kind == StoreErrorKind::OutcomeUnknown;
                    assert!(n.as_deref() == Some("1") || unknown, "{place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_an_error_and_leaves_the_stored_bytes() {
    let ring = |secret: &str| KeyRing::from_lines(secret).unwrap();
    let (one, two) = ("NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=", "XGEQoUDWngfTxB5sxiZIcRkDyG3oFSf4B0RZEtYBK4U=");
    let below = Site::new();
    let sealed = |secret| {
        let store = EncryptedStore::new(below.store.clone(), ring(secret));
        Site::over(store, below.store.clone(), below.clock.clone(), |builder| builder)
    };
    let jar = sealed(one).visitor().await;
    let before = below.stored(&jar.id()).await.unwrap().record.to_bytes();
    let reply = sealed(two).send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(reply.sets_no_cookie());
    // Without the wrapper the sealed record can't be read either, and a plain record is not read through the wrapper.
    let reply = below.send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(below.stored(&jar.id()).await.unwrap().record.to_bytes(), before);
    assert!(is_live(&sealed(one), &jar).await);
    let plain = below.visitor().await;
    let reply = sealed(one).send(&plain, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(below.entry(&plain, "n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn the_cookie_name_written_for_each_prefix_setting_is_the_name_read() {
    let config = || CookieConfig::new("id");
    let settings = [
        (config(), "__Host-id"),
        (config().path("/app"), "__Secure-id"),
        (config().domain("example.org"), "__Secure-id"),
        (config().prefix(CookiePrefix::Secure), "__Secure-id"),
        (config().prefix(CookiePrefix::Host), "__Host-id"),
        (config().prefix(CookiePrefix::None), "id"),
        (config().secure(false), "id"),
        (CookieConfig::new("__Host-id"), "__Host-id"),
        (CookieConfig::new("__Secure-id"), "__Secure-id"),
    ];
    for (config, name) in settings {
        let site = Site::with(|builder| builder.cookie(config)).named(name);
        let jar = site.visitor().await;
        assert!(is_live(&site, &jar).await, "{name}");
        // Only this spelling of the name is read.
        for other in ["id", "__Secure-id", "__Host-id", "__host-id"].into_iter().filter(|other| *other != name) {
            let wrong = format!("{other}={}", jar.value.as_deref().unwrap());
            let router = site.router(async |session: Session| session.is_new().to_string());
            assert_eq!(answered(router.oneshot(request(Some(&wrong))).await.unwrap()).await.body, "true", "{other}");
        }
    }
}

#[tokio::test]
async fn after_a_login_the_old_cookie_writes_nothing_and_sets_no_cookie() {
    let site = Site::new();
    let old = site.visitor().await;
    let mut new = old.clone();
    site.visit(&mut new, async |session: Session| session.login("ada")).await;
    // The handler ignores the error and answers 200; the login's cookie must stay in the browser.
    let reply = site
        .send(&old, async |session: Session| {
            assert_eq!(session.insert("n", 2).unwrap_err().kind(), ErrorKind::Superseded);
            "page"
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.sets_no_cookie());
    let mut second = old.clone();
    let reply = site.visit(&mut second, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(is_live(&site, &second).await && is_live(&site, &new).await);
    assert_eq!(site.entry(&second, "n").await, None, "the old data went with the first");
    // The tombstone expires after a minute. From then on the token is treated as never issued.
    site.clock.advance(MINUTE);
    assert!(site.stored(&old.id()).await.is_none());
    let mut late = old.clone();
    site.visit(&mut late, async |session: Session| session.insert("n", 1)).await;
    assert_ne!(late.value, old.value);
}

#[tokio::test]
async fn another_persons_login_starts_with_no_data() {
    let site = Site::new();
    let mut jar = site.member("ada").await;
    let ada = jar.clone();
    let reply = site
        .visit(&mut jar, async |session: Session| {
            session.insert("draft", "of ada's browser, before the login")?;
            session.login("bob")?;
            assert!(session.is_empty(), "at once");
            session.insert("mine", 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let keys = site.send(&jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!(keys.body, "mine");
    assert!(!is_live(&site, &ada).await);
    // A request of ada's that writes during bob's login adds nothing to bob's session.
    let mut jar = site.member("ada").await;
    let (twin, other) = (site.clone(), jar.clone());
    site.visit(&mut jar, async move |session: Session| {
        session.login("bob")?;
        twin.send(&other, async |session: Session| session.insert("late", 1)).await;
        ok()
    })
    .await;
    let keys = site.send(&jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!(keys.body, "");
}
