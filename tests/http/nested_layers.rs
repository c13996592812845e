//! Layers inside of layers: two cookie names are two sessions, and one name is one session.

use axum::{Router, routing::any};
use http::StatusCode;
use session_layer::{
    CookieConfig, Session, SessionLayer,
    conformance::{Operation, fault::Fault},
};
use tower::ServiceExt;
use tracing::Level;

use crate::support::*;

fn named(site: &Site, name: &str) -> SessionLayer {
    SessionLayer::builder(site.store.clone()).cookie(CookieConfig::new(name)).clock(site.clock.clone()).build().unwrap()
}

#[tokio::test]
async fn layers_of_two_names_nest_and_both_commit() {
    let site = Site::new();
    let router: Router = Router::new()
        .route("/", any(async |session: Session| session.insert("inner", 1)))
        .layer(named(&site, "inner"))
        .layer(axum::middleware::from_fn(
            async |session: Session, request: axum::extract::Request, next: axum::middleware::Next| {
                session.insert("outer", 1).unwrap();
                next.run(request).await
            },
        ))
        .layer(named(&site, "outer"));
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    let cookies = reply.cookies();
    assert_eq!(cookies.len(), 2);
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("cache-control"), "no-store");
    for (name, entry) in [("__Host-inner", "inner"), ("__Host-outer", "outer")] {
        let mut jar = site.clone().named(name).jar();
        jar.absorb(&reply);
        assert_eq!(site.entry(&jar, entry).await.as_deref(), Some("1"));
        assert_eq!(site.stored(&jar.id()).await.unwrap().record.entries().len(), 1);
    }
}

#[tokio::test]
async fn a_nested_layer_of_the_same_name_is_transparent_and_reported_once() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    let router: Router = Router::new()
        .route("/", any(async |session: Session| session.update("n", |n: &mut u8| *n += 1)))
        .layer(site.layer.clone())
        .layer(site.layer.clone());
    for _ in 0..3 {
        let response = router.clone().oneshot(request(jar.line().as_deref())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("4"));
    assert_eq!(site.store.calls(Operation::Load), 3);
    assert_eq!(events.count(Level::WARN, "two session layers with one cookie name"), 1);
}

/// The outermost and the innermost of three layers have the same cookie name. There is still at most one session of
/// that name.
#[tokio::test]
async fn a_repeated_cookie_name_is_recognised_through_another_layer() {
    let site = Site::new();
    let other = SessionLayer::builder(site.store.clone())
        .cookie(CookieConfig::new("other"))
        .clock(site.clock.clone())
        .build()
        .unwrap();
    let router = Router::new()
        .route("/", any(async |session: Session| session.insert("n", 1)))
        .layer(site.layer.clone())
        .layer(other)
        .layer(axum::middleware::from_fn(
            async |session: Session, request: axum::extract::Request, next: axum::middleware::Next| {
                session.insert("outer", 1).unwrap();
                next.run(request).await
            },
        ))
        .layer(site.layer.clone());
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    let mut names: Vec<_> = reply.cookies().into_iter().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["__Host-other", "__Host-sid"], "one session each");
}

/// The inner layer has issued a new token when the outer layer's commit fails. The answer keeps the inner layer's
/// cookie.
#[tokio::test]
async fn a_failing_outer_layer_keeps_the_inner_layers_cookie() {
    let outer = Site::new();
    let inner = Site::new().named("__Host-other");
    let layer = SessionLayer::builder(inner.store.clone())
        .cookie(CookieConfig::new("other"))
        .clock(inner.clock.clone())
        .build()
        .unwrap();
    outer.store.inject(Fault::unavailable().on(Operation::Create));
    let router = Router::new()
        .route("/", any(async |session: Session| session.login("ada")))
        .layer(layer)
        .layer(axum::middleware::from_fn(
            async |session: Session, request: axum::extract::Request, next: axum::middleware::Next| {
                session.insert("outer", 1).unwrap();
                next.run(request).await
            },
        ))
        .layer(outer.layer.clone());
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut jar = inner.jar();
    jar.absorb(&reply);
    assert!(jar.value.is_some(), "the only token of a session that was logged in is lost: {reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}
