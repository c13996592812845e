//! The events of a scripted visit, in order, as an observer receives them and as they are traced.

use session_layer::{Lifetime, MemoryStore, Session, SessionLayer};

use crate::support::*;

/// Two people, a shop, and most kinds of interactions between them.
pub(crate) async fn visit(seen: &Seen, step: &mut dyn FnMut(&str)) {
    let clock = clock();
    let layer = watched(seen, &clock, |builder| builder.sign(ring()));
    let mut ada = Browser::new(layer.clone());

    ada.visit(async |_: Session| ()).await;
    step("a visitor without a cookie looks around");

    ada.visit(async |session: Session| session.insert("cart", 1)).await;
    step("puts something into the cart");

    ada.visit(async |session: Session| session.get::<u8>("cart").map(|_| ())).await;
    step("looks at the cart");

    ada.visit(async |session: Session| session.insert("cart", 2)).await;
    step("puts another thing in");

    clock.advance(10 * MINUTE);
    ada.visit(async |_: Session| ()).await;
    step("reads for ten minutes");

    let before = ada.cookie.clone().unwrap();
    ada.visit(async |session: Session| session.login("ada")).await;
    step("logs in");

    send(&layer, &[&before], async |_: Session| ()).await;
    step("a tab that has the old cookie comes late");

    ada.visit(async |session: Session| session.renew()).await;
    step("changes the password");

    let sessions = layer.sessions();
    ada.visit(async move |session: Session| {
        sessions.merge(&session.id().unwrap(), [("plan", "gold")]).await.unwrap();
        session.insert("cart", 3)
    })
    .await;
    step("orders while a job writes");

    let mut other = Browser::new(layer.clone());
    other.visit(async |session: Session| session.login("ada")).await;
    step("logs in on another device");

    let both = [ada.cookie.as_deref().unwrap(), other.cookie.as_deref().unwrap()];
    send(&layer, &both, async |_: Session| ()).await;
    step("somebody plants one cookie beside the other");

    let sessions = layer.sessions();
    other
        .visit(async move |session: Session| {
            session.insert("note", "late")?;
            sessions.end(&session.id().unwrap()).await.map(|_| ())
        })
        .await;
    step("the other device is ended while it writes");

    let text = "x".repeat(32);
    send(&layer, &[&format!("__Host-sid={text}")], async |_: Session| ()).await;
    step("somebody guesses");

    send(&layer, &["__Host-sid=nonsense"], async |_: Session| ()).await;
    step("somebody sends nonsense");

    let elsewhere = SessionLayer::builder(MemoryStore::new()).sign(ring()).build().unwrap();
    let stray = elsewhere.new_session();
    stray.insert("n", 1).unwrap();
    stray.save().await.unwrap();
    let stray = elsewhere.request_cookie(&stray).unwrap();
    send(&layer, &[stray.to_str().unwrap()], async |_: Session| ()).await;
    step("a cookie of another site with the same key");

    layer.sessions().revoke_all("ada").await.unwrap();
    step("all sessions of ada are revoked");

    let mut eve = Browser::new(layer.clone());
    eve.visit(async |session: Session| session.insert("n", 1)).await;
    step("a second visitor comes");

    clock.advance(Lifetime::default().idle());
    eve.visit(async |_: Session| ()).await;
    step("and comes back too late");

    layer.sessions().sweep().await.unwrap();
    step("the store is swept");

    ada.visit(async |session: Session| session.insert("n", 1)).await;
    ada.visit(async |session: Session| session.destroy()).await;
    assert_eq!(ada.cookie, None);
    step("comes back once more and logs out");
}

#[tokio::test]
async fn an_observer_receives_the_events_of_a_visit_in_order() {
    let seen = Seen::default();
    let mut told = Vec::new();
    visit(&seen, &mut |step| told.extend([format!("== {step}")].into_iter().chain(seen.all()))).await;
    assert_eq!(told.join("\n"), TOLD.trim(), "\n{}", told.join("\n"));
}

#[tokio::test]
async fn a_visit_is_traced_in_order() {
    let (traced, _kept) = Traced::keep();
    let seen = Seen::default();
    let mut lines = Vec::new();
    let mut take = |step: &str| {
        lines.push(format!("== {step}"));
        lines.extend(traced.all("session_layer::session").iter().map(|line| seen.named(line)));
    };
    visit(&seen, &mut take).await;
    assert_eq!(lines.join("\n"), TRACED.trim(), "\n{}", lines.join("\n"));
}

const TOLD: &str = "
== a visitor without a cookie looks around
no_session (no cookie)
== puts something into the cart
no_session (no cookie)
call create done #1 +
created #1 +
== looks at the cart
call load done #1 +
loaded #1 +
== puts another thing in
call load done #1 +
loaded #1 +
call update done #1 +
saved #1 +
== reads for ten minutes
call load done #1 +
loaded #1 +
call touch done #1
touched #1 +
== logs in
call load done #1 +
loaded #1 +
call ensure_epoch done
call rename done #1 +
renewed (login) #1 #2 +
== a tab that has the old cookie comes late
call load done #1 +
no_session (superseded) #1 +
== changes the password
call load done #2 +
loaded #2 +
call rename done #2 +
renewed #2 #3 +
== orders while a job writes
call load done #3 +
loaded #3 +
call load done #3 +
call update done #3 +
saved #3 +
call update conflict #3 +
call owner_epoch done
call update done #3 +
saved #3 +
conflict_merged 2 #3 +
== logs in on another device
no_session (no cookie)
call ensure_epoch done
call create done #4 +
created (login) #4 +
== somebody plants one cookie beside the other
call load done #3 +
loaded #3 +
call load done #4 +
two_live_cookies #3 #4
== the other device is ended while it writes
call load done #4 +
loaded #4 +
call load done #4 +
call end done #4
destroyed #4
write_blocked Gone #4
== somebody guesses
no_session (forged)
== somebody sends nonsense
no_session (malformed)
== a cookie of another site with the same key
call load absent #5
call metadata absent #5
no_session (unknown) #5
== all sessions of ada are revoked
call list_owner done 1
call renew_epoch done
call list_owner done 1
call owner_epoch done
call end done #3
destroyed #3
owner_revoked 1
== a second visitor comes
no_session (no cookie)
call create done #6 +
created #6 +
== and comes back too late
call load absent #6
call metadata done #6
no_session (expired) #6
== the store is swept
expired #6 +
swept 1 0
call sweep done 1
== comes back once more and logs out
call load absent #3
call metadata absent #3
no_session (unknown) #3
call create done #7 +
created #7 +
call load done #7 +
loaded #7 +
call end done #7
destroyed #7
";

const TRACED: &str = r#"
== a visitor without a cookie looks around
TRACE session_layer::session no session reason="no cookie"
== puts something into the cart
TRACE session_layer::session no session reason="no cookie"
DEBUG session_layer::session session commit{}: session created session.id=#1 login=false
== looks at the cart
TRACE session_layer::session session loaded session.id=#1
== puts another thing in
TRACE session_layer::session session loaded session.id=#1
DEBUG session_layer::session session commit{session.id=#1}: session saved session.id=#1
== reads for ten minutes
TRACE session_layer::session session loaded session.id=#1
DEBUG session_layer::session session commit{session.id=#1}: session touched session.id=#1
== logs in
TRACE session_layer::session session loaded session.id=#1
DEBUG session_layer::session session commit{session.id=#1}: session renewed session.id=#2 session.previous_id=#1 login=true
== a tab that has the old cookie comes late
DEBUG session_layer::session session load{session.id=#1}: no session session.id=#1 reason="superseded"
== changes the password
TRACE session_layer::session session loaded session.id=#2
DEBUG session_layer::session session commit{session.id=#2}: session renewed session.id=#3 session.previous_id=#2 login=false
== orders while a job writes
TRACE session_layer::session session loaded session.id=#3
DEBUG session_layer::session session commit{session.id=#3}: session saved session.id=#3
DEBUG session_layer::session session commit{session.id=#3}: session saved session.id=#3
INFO session_layer::session session commit{session.id=#3}: conflicting changes merged session.id=#3 tries=2
== logs in on another device
TRACE session_layer::session no session reason="no cookie"
DEBUG session_layer::session session commit{}: session created session.id=#4 login=true
== somebody plants one cookie beside the other
TRACE session_layer::session session loaded session.id=#3
WARN session_layer::session two live session cookies session.id=#3 session.other_id=#4
== the other device is ended while it writes
TRACE session_layer::session session loaded session.id=#4
DEBUG session_layer::session session destroyed session.id=#4
WARN session_layer::session session commit{session.id=#4}: write to a session that is gone was blocked session.id=#4 why=session #4 is gone: it was destroyed, revoked or has expired
== somebody guesses
WARN session_layer::session session cookie not signed by any key of the ring reason="forged"
== somebody sends nonsense
DEBUG session_layer::session no session reason="malformed"
== a cookie of another site with the same key
DEBUG session_layer::session session commit{}: session created session.id=#5 login=false
DEBUG session_layer::session session load{session.id=#5}: no session session.id=#5 reason="unknown"
== all sessions of ada are revoked
DEBUG session_layer::session session destroyed session.id=#3
DEBUG session_layer::sessions an owner's sessions revoked removed=1
== a second visitor comes
TRACE session_layer::session no session reason="no cookie"
DEBUG session_layer::session session commit{}: session created session.id=#6 login=false
== and comes back too late
DEBUG session_layer::session session load{session.id=#6}: no session session.id=#6 reason="expired"
== the store is swept
== comes back once more and logs out
DEBUG session_layer::session session load{session.id=#3}: no session session.id=#3 reason="unknown"
DEBUG session_layer::session session commit{}: session created session.id=#7 login=false
TRACE session_layer::session session loaded session.id=#7
DEBUG session_layer::session session commit{session.id=#7}: session destroyed session.id=#7
"#;
