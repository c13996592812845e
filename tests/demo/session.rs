//! `GET /api/session`.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{browser::Browser, process::Demo};

fn instant(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

#[tokio::test]
async fn a_first_time_visitor() {
    let demo = Demo::plain();
    let answer = Browser::new(&demo).get("/api/session").await.expect(200).no_cookie();
    let expected = json!({
        "new": true, "id": null, "user": null, "visits": 0, "cart": [], "keys": [],
        "created_at": null, "last_used_at": null, "expires_at": null,
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn a_known_visitor() {
    let demo = Demo::start(&["--plain-http", "--idle", "600", "--absolute", "900"]);
    let browser = Browser::new(&demo);
    let begin = OffsetDateTime::now_utc() - Duration::milliseconds(1);
    browser.log_in("ann").await;
    browser.form("/cart", &[("sku", "sencha"), ("qty", "2")]).await.expect(303);
    browser.get("/").await.expect(200);
    browser.put("/api/entries/colour", "\"green\"").await.expect(204);
    let end = OffsetDateTime::now_utc();
    let session = browser.session().await;
    assert_eq!(session["new"], false);
    assert!(session["id"].as_str().is_some_and(|id| id.len() == 36), "{session}");
    assert_eq!((&session["user"], &session["visits"]), (&json!("ann"), &json!(1)));
    assert_eq!(session["cart"], json!([{"sku": "sencha", "qty": 2}]));
    assert_eq!(session["keys"], json!(["cart", "colour", "user", "visits"]));
    let (created, used, expires) =
        (instant(&session["created_at"]), instant(&session["last_used_at"]), instant(&session["expires_at"]));
    assert!(begin <= created && created <= used && used <= end, "{begin} {session} {end}");
    assert_eq!(expires, (used + Duration::seconds(600)).min(created + Duration::seconds(900)));
    assert_eq!(session.as_object().unwrap().len(), 9);
}

#[tokio::test]
async fn reading_the_session_changes_nothing() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    browser.log_in("ann").await;
    let first = browser.get("/api/session").await.expect(200).no_cookie();
    for _ in 0..5 {
        let again = browser.get("/api/session").await.expect(200).no_cookie();
        assert_eq!(again.json(), first.json());
    }
}

/// The id on display differs from the cookie's value, and opens nothing when it is sent as a cookie.
#[tokio::test]
async fn the_shown_id_does_not_work_as_a_cookie() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let cookie = browser.log_in("ann").await.cookie();
    let session = browser.session().await;
    let id = session["id"].as_str().unwrap();
    assert!(!cookie.contains(id));
    let thief = Browser::with_cookie(&demo, &format!("sid={id}"));
    assert_eq!(thief.session().await["new"], true);
    let thief = Browser::with_cookie(&demo, &format!("sid={}", id.replace('-', "")));
    assert_eq!(thief.session().await["new"], true);
    // The log contains no token, even at the most verbose level.
    let token = cookie.split_once('=').unwrap().1;
    let log = demo.log();
    assert!(log.contains(id) && !log.contains(token), "{log}");
}
