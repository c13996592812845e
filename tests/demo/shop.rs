//! The forms: log in, log out, the cart.

use serde_json::{Value, json};

use crate::{browser::Browser, process::Demo};

#[tokio::test]
async fn a_login_sets_the_cookie_and_a_logout_removes_it() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    assert_eq!(browser.session().await["user"], Value::Null);
    let answer = browser.log_in("ann").await;
    assert_eq!(answer.header("location"), Some("/"));
    assert_eq!(browser.session().await["user"], "ann");
    let answer = browser.post("/logout").await.expect(303);
    assert_eq!(answer.header("location"), Some("/"));
    // The removal repeats the attributes with which the cookie was set.
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("sid=; ") && set.contains("Path=/") && set.contains("Max-Age=0"), "{set}");
    let session = browser.session().await;
    assert_eq!((&session["new"], &session["user"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn logging_out_without_a_session_is_no_error_and_sets_nothing() {
    let demo = Demo::plain();
    Browser::new(&demo).post("/logout").await.expect(303).no_cookie();
}

#[tokio::test]
async fn a_login_keeps_the_cart_and_ends_the_old_token() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let before = browser.form("/cart", &[("sku", "sencha"), ("qty", "1")]).await.expect(303);
    let anonymous = browser.session().await;
    let after = browser.log_in("ann").await;
    assert_ne!(before.cookie(), after.cookie());
    let session = browser.session().await;
    assert_ne!(session["id"], anonymous["id"]);
    assert_eq!(session["cart"], json!([{"sku": "sencha", "qty": 1}]));
    let planted = Browser::with_cookie_of(&demo, &before);
    let session = planted.session().await;
    assert_eq!((&session["user"], &session["cart"], &session["keys"]), (&Value::Null, &json!([]), &json!([])));
}

/// Two people share a browser.
#[tokio::test]
async fn another_persons_login_starts_empty() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let ann = browser.log_in("ann").await;
    browser.form("/cart", &[("sku", "sencha"), ("qty", "1")]).await.expect(303);
    browser.get("/").await.expect(200);
    browser.put("/api/entries/secret", "\"of ann\"").await.expect(204);
    browser.log_in("bob").await;
    let session = browser.session().await;
    assert_eq!(session["user"], "bob");
    assert_eq!((&session["cart"], &session["visits"], &session["keys"]), (&json!([]), &json!(0), &json!(["user"])));
    let session = Browser::with_cookie_of(&demo, &ann).session().await;
    assert_eq!(session["user"], Value::Null);
}

#[tokio::test]
async fn the_cart_keeps_the_order_of_its_goods() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    for (sku, qty) in [("sencha", "2"), ("of my own", "1"), (" sencha ", "3"), ("assam", "1000"), ("assam", "1000")] {
        let answer = browser.form("/cart", &[("sku", sku), ("qty", qty)]).await.expect(303);
        assert_eq!(answer.header("location"), Some("/"));
    }
    let cart = json!([{"sku": "sencha", "qty": 5}, {"sku": "of my own", "qty": 1}, {"sku": "assam", "qty": 1000}]);
    assert_eq!(browser.session().await["cart"], cart);
    let page = browser.get("/").await.expect(200);
    assert!(page.body.contains("of my own") && page.body.contains("€ 62.50"), "five times 12.50");
}

#[tokio::test]
async fn invalid_forms_are_refused_and_change_nothing() {
    let demo = Demo::plain();
    let browser = Browser::new(&demo);
    let long = "x".repeat(300);
    let forms: [(&str, &[(&str, &str)]); 12] = [
        ("/login", &[]),
        ("/login", &[("user", "")]),
        ("/login", &[("user", "  ")]),
        ("/login", &[("user", &long)]),
        ("/login", &[("user", "a\nb")]),
        ("/cart", &[("sku", "sencha")]),
        ("/cart", &[("sku", ""), ("qty", "1")]),
        ("/cart", &[("sku", &long), ("qty", "1")]),
        ("/cart", &[("sku", "sencha"), ("qty", "0")]),
        ("/cart", &[("sku", "sencha"), ("qty", "-1")]),
        ("/cart", &[("sku", "sencha"), ("qty", "1001")]),
        ("/cart", &[("sku", "sencha"), ("qty", "many")]),
    ];
    for (path, fields) in forms {
        let answer = browser.form(path, fields).await.no_cookie();
        assert!(!answer.error(422).is_empty(), "{path} {fields:?}");
    }
    // The body is not a form.
    assert!(!browser.post("/login").await.no_cookie().error(415).is_empty());
    assert_eq!(browser.session().await["new"], true);
}
