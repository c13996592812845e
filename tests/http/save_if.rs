//! Which responses save the changes of their requests.

use std::time::Duration;

use axum::{Extension, Router, response::IntoResponse, routing::any};
use http::StatusCode;
use session_layer::Session;
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;
use tracing::Level;

use crate::support::*;

const DROPPED: &str = "unsaved changes dropped";

/// The answer may come from the handler or from a middleware inside the layer.
#[tokio::test]
async fn server_errors_and_408_drop_the_changes_and_other_answers_save() {
    for (status, saves) in
        [(500, false), (503, false), (408, false), (200, true), (404, true), (409, true), (422, true)]
    {
        let site = Site::new();
        let mut jar = site.visitor().await;
        let (events, _kept) = Events::keep();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.login("ada").unwrap();
                session.insert("a", 1).unwrap();
                StatusCode::from_u16(status).unwrap()
            })
            .await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.sets_no_cookie(), !saves, "{status}");
        assert_eq!(site.entry(&jar, "a").await.is_some(), saves, "{status}");
        assert_eq!(events.count(Level::WARN, DROPPED), usize::from(!saves), "{status}");
    }
}

/// A `TimeoutLayer` inside the session layer cuts a handler off half-way and answers 408.
#[tokio::test(start_paused = true)]
async fn a_handler_cut_off_by_a_timeout_saves_nothing() {
    let slow = async |session: Session| {
        session.login("ada").unwrap();
        session.insert("half", 1).unwrap();
        std::future::pending::<()>().await;
    };
    let timeout = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    for is_inside in [true, false] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (events, _kept) = Events::keep();
        let routes = Router::new().route("/", any(slow));
        let router: Router = if is_inside {
            routes.layer(timeout()).layer(site.layer.clone())
        } else {
            routes.layer(site.layer.clone()).layer(timeout())
        };
        let reply = answered(router.oneshot(request(jar.line().as_deref())).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
        assert!(reply.sets_no_cookie());
        assert_eq!(events.count(Level::WARN, DROPPED), 1, "inside: {is_inside}");
        let seen = site.send(&jar, async |s: Session| format!("{} {:?}", s.keys().join(","), s.owner())).await;
        assert_eq!(seen.body, "n None", "inside: {is_inside}");
    }
}

/// The predicate sees status, headers and extensions.
#[tokio::test]
async fn the_application_decides_which_responses_save() {
    #[derive(Clone)]
    struct Keep;
    let site = Site::with(|builder| {
        builder.save_if(|head| {
            head.status.is_success() && !head.headers.contains_key("x-failed")
                || head.extensions.get::<Keep>().is_some()
        })
    });
    let answers: [(fn() -> axum::response::Response, bool); 4] = [
        (|| StatusCode::OK.into_response(), true),
        (|| StatusCode::CONFLICT.into_response(), false),
        (|| [("x-failed", "1")].into_response(), false),
        (|| (StatusCode::INTERNAL_SERVER_ERROR, Extension(Keep)).into_response(), true),
    ];
    for (number, (answer, saves)) in answers.into_iter().enumerate() {
        let jar = site.visitor().await;
        site.send(&jar, async move |session: Session| {
            session.insert("a", 1).unwrap();
            answer()
        })
        .await;
        assert_eq!(site.entry(&jar, "a").await.is_some(), saves, "answer {number}");
    }
}
