//! `/api/devices` and its page: the list of a user's logins.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    browser::{Answer, Browser},
    process::Demo,
    raw::Held,
};

/// The body of `GET /api/devices`.
async fn devices(browser: &Browser) -> Vec<Value> {
    let answer = browser.get("/api/devices").await.expect(200).no_cookie();
    answer.json().as_array().unwrap().clone()
}

async fn id(browser: &Browser) -> String {
    browser.session().await["id"].as_str().unwrap().to_owned()
}

async fn revoke(browser: &Browser, id: &str) -> Answer {
    browser.post(&format!("/api/devices/{id}/revoke")).await
}

#[tokio::test]
async fn users_see_their_own_devices() {
    let demo = Demo::plain();
    let laptop =
        Browser::calling_itself(&demo, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
    let phone = Browser::new(&demo);
    let stranger = Browser::new(&demo);
    laptop.log_in("ann").await;
    phone.log_in("ann").await;
    stranger.log_in("bob").await;
    let session = laptop.session().await;
    let listed = devices(&laptop).await;
    let own = json!({
        "id": session["id"], "current": true, "created_at": session["created_at"],
        "last_used_at": session["last_used_at"],
        "device": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    });
    let session = phone.session().await;
    let other = json!({
        "id": session["id"], "current": false, "created_at": session["created_at"],
        "last_used_at": session["last_used_at"], "device": null,
    });
    assert_eq!(listed, [own, other]);
    let seen: Vec<_> =
        devices(&phone).await.iter().map(|device| (device["id"].clone(), device["current"].clone())).collect();
    assert_eq!(seen, [(other_id(&listed), json!(true)), (listed[0]["id"].clone(), json!(false))]);
    assert_eq!(devices(&stranger).await.len(), 1);
    demo.stop();
}

fn other_id(listed: &[Value]) -> Value {
    listed[1]["id"].clone()
}

#[tokio::test]
async fn an_anonymous_visitor_has_no_devices() {
    let demo = Demo::plain();
    let visitor = Browser::new(&demo);
    let somebody = Browser::new(&demo);
    somebody.log_in("ann").await;
    let theirs = id(&somebody).await;
    let paths = [
        "/api/devices/revoke-others".to_owned(),
        "/api/devices/x/revoke".to_owned(),
        format!("/api/devices/{theirs}/revoke"),
    ];
    for what in ["without a session", "with one that is nobody's"] {
        assert_eq!(visitor.get("/api/devices").await.no_cookie().error(401), "you are not logged in", "{what}");
        for path in &paths {
            assert_eq!(visitor.post(path).await.no_cookie().error(401), "you are not logged in", "{what} {path}");
        }
        visitor.put("/api/entries/k", "1").await.expect(204);
    }
    assert_eq!(devices(&somebody).await.len(), 1);
    somebody.ask(Method::GET, &paths[0]).await.error(405);
    somebody.post("/api/devices").await.error(405);
}

/// The other device's next request is logged out, and its request under way does not bring the session back.
#[tokio::test]
async fn one_device_logs_out_another() {
    let demo = Demo::plain();
    let (laptop, phone) = (Browser::new(&demo), Browser::new(&demo));
    laptop.log_in("ann").await;
    let cookie = phone.log_in("ann").await.cookie();
    let ended = id(&phone).await;
    let slow = Held::put(&demo, &cookie, "/api/entries/k", "1").await;
    revoke(&laptop, &ended).await.expect(204).no_cookie();
    assert!(slow.finish().await.starts_with("http/1.1 "));
    let session = phone.session().await;
    assert_eq!((&session["new"], &session["user"]), (&json!(true), &Value::Null));
    phone.get("/api/devices").await.error(401);
    assert_eq!(devices(&laptop).await.len(), 1);
    assert_eq!(laptop.session().await["user"], "ann");
    // Ending it again finds nothing.
    revoke(&laptop, &ended).await.error(404);
    demo.stop();
}

/// The answer is the same for another owner's id, an id without a session, and a malformed id.
#[tokio::test]
async fn ids_of_other_owners_and_unknown_ids_are_not_found() {
    let demo = Demo::plain();
    let (ann, bob, anonymous) = (Browser::new(&demo), Browser::new(&demo), Browser::new(&demo));
    ann.log_in("ann").await;
    bob.log_in("bob").await;
    anonymous.put("/api/entries/k", "1").await.expect(204);
    let (of_ann, of_bob, of_nobody) = (id(&ann).await, id(&bob).await, id(&anonymous).await);
    let unknown = "00000000-0000-8000-8000-000000000000";
    let upper = of_ann.to_uppercase();
    let long = "a".repeat(5_000);
    let ids = [
        &*of_bob,
        &of_nobody,
        unknown,
        &upper,
        &of_ann[1..],
        "x",
        "%20",
        "%00",
        "%FF",
        "..%2F..",
        "%F0%9F%8D%B5",
        "null",
        "-1",
        &long,
    ];
    let first = revoke(&ann, ids[0]).await.no_cookie();
    for id in ids {
        let answer = revoke(&ann, id).await.no_cookie();
        assert_eq!((answer.status, &answer.body), (first.status, &first.body), "{id}");
        // Equal except for the date.
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(headers(&answer), headers(&first), "{id}");
        answer.error(404);
    }
    assert_eq!(bob.session().await["user"], "bob");
    assert_eq!(anonymous.entry("k").await, 1);
    assert_eq!(ann.session().await["user"], "ann");
    demo.stop();
}

/// Ending one's own session is a logout, which removes the cookie.
#[tokio::test]
async fn ending_ones_own_device_is_a_logout() {
    let demo = Demo::plain();
    let (laptop, phone) = (Browser::new(&demo), Browser::new(&demo));
    let login = laptop.log_in("ann").await;
    phone.log_in("ann").await;
    let answer = revoke(&laptop, &id(&laptop).await).await.expect(204);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("sid=; ") && set.contains("Max-Age=0") && set.contains("Path=/"), "{set}");
    assert_eq!(laptop.session().await["new"], true);
    assert_eq!(Browser::with_cookie_of(&demo, &login).session().await["new"], true);
    assert_eq!(devices(&phone).await.len(), 1);
    demo.stop();
}

#[tokio::test]
async fn one_device_logs_out_all_others() {
    let dir = tempdir().unwrap();
    let files = format!("file:{}", dir.path().join("sessions").display());
    let files = format!("{files}?create=yes&durability=none");
    for arguments in [vec!["--plain-http"], vec!["--plain-http", "--cache", "10", "--store", &files]] {
        let demo = Demo::start(&arguments);
        let kept = Browser::new(&demo);
        kept.log_in("ann").await;
        let others: Vec<_> = (0..3).map(|_| Browser::new(&demo)).collect();
        for other in &others {
            other.log_in("ann").await;
        }
        let bob = Browser::new(&demo);
        bob.log_in("bob").await;
        assert_eq!(devices(&kept).await.len(), 4);
        kept.post("/api/devices/revoke-others").await.expect(204).no_cookie();
        for other in &others {
            assert_eq!(other.session().await["user"], Value::Null, "{arguments:?}");
        }
        assert_eq!(devices(&kept).await.len(), 1, "{arguments:?}");
        kept.put("/api/entries/k", "1").await.expect(204).no_cookie();
        assert_eq!(bob.session().await["user"], "bob");
        // With no others left, nothing happens.
        kept.post("/api/devices/revoke-others").await.expect(204).no_cookie();
        assert_eq!(kept.entry("k").await, 1);
        demo.stop();
    }
}

/// The client chooses its user agent. The recorded name is bounded and plain text, and a login with another user agent
/// replaces it.
#[tokio::test]
async fn the_recorded_device_name_is_bounded_and_follows_the_login() {
    let demo = Demo::plain();
    let long = format!("{}ü{}", "a".repeat(199), "b".repeat(5_000));
    for (agent, recorded) in [
        ("  tester/1.0\u{9}(x) ", json!("tester/1.0(x)")),
        (&*long, json!("a".repeat(199))),
        (" ", Value::Null),
        ("", Value::Null),
    ] {
        let browser = Browser::calling_itself(&demo, agent);
        browser.log_in("ann").await;
        assert_eq!(devices(&browser).await[0]["device"], recorded, "{agent:?}");
        browser.post("/api/devices/revoke-others").await.expect(204);
    }
    // Another client has the cookie and logs in again.
    let named = Browser::calling_itself(&demo, "named/1");
    let nameless = Browser::with_cookie_of(&demo, &named.log_in("ann").await);
    let login = nameless.log_in("ann").await;
    assert_eq!(devices(&Browser::with_cookie_of(&demo, &login)).await[0]["device"], Value::Null);
    // The entry belongs to the shop, like the user's name.
    named.put("/api/entries/device", "\"another\"").await.error(403);
    demo.stop();
}

#[tokio::test]
async fn the_page_lists_them_and_its_forms_end_them() {
    let demo = Demo::plain();
    let laptop = Browser::calling_itself(&demo, "Firefox/1 <b onclick=alert(1)>Linux</b>");
    let phones = [Browser::new(&demo), Browser::new(&demo)];
    let page = laptop.get("/devices").await.no_cookie().expect(401);
    assert!(page.body.contains("Nobody is signed in here") && page.body.contains("action=\"/login\""));
    laptop.log_in("ann").await;
    for phone in &phones {
        phone.log_in("ann").await;
    }
    assert!(laptop.get("/").await.body.contains("href=\"/devices\""));
    let page = laptop.get("/devices").await.expect(200).no_cookie();
    assert_eq!(page.body.matches("This device").count(), 1);
    assert!(page.body.contains("Firefox on Linux") && page.body.contains("An unknown device"));
    assert!(page.body.contains("&lt;b onclick=alert(1)&gt;") && !page.body.contains("<b onclick"), "{}", page.body);
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
    let ended = id(&phones[0]).await;
    let form = format!("/devices/{ended}/end");
    assert!(page.body.contains(&format!("action=\"{form}\"")));
    // A second press has the same result.
    for path in [&form, &form, "/devices/x/end", "/devices/end-others"] {
        assert_eq!(laptop.post(path).await.expect(303).no_cookie().header("location"), Some("/devices"), "{path}");
        assert_eq!(phones[0].session().await["user"], Value::Null);
    }
    assert_eq!(phones[1].session().await["user"], Value::Null);
    // The redirect leads back to the page, not to the login.
    assert_eq!(phones[0].post(&form).await.expect(303).header("location"), Some("/devices"));
    let own = format!("/devices/{}/end", id(&laptop).await);
    assert!(laptop.post(&own).await.expect(303).sets_cookie());
    laptop.get("/devices").await.expect(401).no_cookie();
    demo.stop();
}
