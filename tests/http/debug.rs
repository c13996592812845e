//! The `Debug` output of a session: useful for people, without values and tokens.

use session_layer::{LazySession, Session, Typed};

use crate::support::*;

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Shop {
    cart: Vec<String>,
}

#[tokio::test]
async fn debug_shows_id_owner_keys_times_and_whether_it_has_changed() {
    let site = Site::new();
    let jar = site.member("ada").await;
    let reply = site
        .send(&jar, async |session: Session, shop: Typed<Shop>, lazy: LazySession| {
            let before = format!("{session:?}");
            session.insert("cart", ["a secret"]).unwrap();
            let typed = format!("{shop:?}");
            format!("{before}\n{session:?}\n{typed}\n{lazy:?}")
        })
        .await;
    let shown = |keys: &str, changed: bool| {
        format!(
            "Session {{ id: SessionId({}), owner: \"ada\", keys: {keys}, created_at: 2027-01-15T08:00:00Z, last_used_at: \
             2027-01-15T08:00:00Z, expires_at: 2027-01-15T09:00:00Z, changed: {changed} }}",
            jar.id()
        )
    };
    let (before, after) = (shown(r#"["n"]"#, false), shown(r#"["cart", "n"]"#, true));
    let typed = format!("Typed<http::debug::Shop>({after})");
    let lazy = format!("LazySession {{ has_cookie: true, session: {after} }}");
    assert_eq!(reply.body.lines().collect::<Vec<_>>(), [before, after, typed, lazy]);
    let token = jar.value.as_deref().unwrap();
    assert!(!reply.body.contains(token));
}

#[tokio::test]
async fn debug_of_a_new_session_says_that_nothing_is_there() {
    let session = Site::new().layer.new_session();
    let shown = "Session { id: None, owner: None, keys: [], created_at: None, last_used_at: None, expires_at: None, changed: \
                 false }";
    assert_eq!(format!("{session:?}"), shown);
}

#[tokio::test]
async fn debug_of_a_lazy_session_loads_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let reply = site.send(&jar, async |lazy: LazySession| format!("{lazy:?}")).await;
    assert_eq!(reply.body, "LazySession { has_cookie: true, .. }");
    assert_eq!(site.store.calls(session_layer::conformance::Operation::Load), 0);
}
