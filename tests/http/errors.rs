//! The crate's single error type, and its response wherever it arises.
#![allow(clippy::needless_borrows_for_generic_args, reason = "that references are taken is what is tested")]

use axum::{
    Json, Router,
    body::Body,
    extract::{Form, Path},
    response::IntoResponse,
    routing::any,
};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use session_layer::{
    Error, ErrorKind, LazySession, Lifetime, Session, SessionId, SessionLayer, Sessions,
    conformance::{Operation, fault::Fault},
    middleware::CustomErrorResponse,
    store::StoreErrorKind,
};
use tower::ServiceExt;
use tracing::Level;

use crate::support::*;

/// Compiles only if every public error converts.
#[test]
fn each_error_of_the_crate_converts_into_one() {
    fn converts<E: Into<Error>>() {}
    converts::<session_layer::store::StoreError>();
    converts::<session_layer::ConfigError>();
    converts::<session_layer::ConnectError>();
    converts::<session_layer::id::EntropyError>();
    converts::<session_layer::keyring::KeyRingError>();
    converts::<session_layer::LifetimeError>();
    converts::<session_layer::id::ParseIdError>();
    converts::<session_layer::keyring::SecretError>();
    converts::<session_layer::codec::CodecError>();
    converts::<session_layer::record::RecordError>();
    converts::<session_layer::record::OwnerError>();
    converts::<session_layer::store::FileStoreError>();
    converts::<session_layer::store::MemcachedConfigError>();
    converts::<session_layer::store::MemoryOpenError>();
    converts::<session_layer::store::SealError>();

    fn setup() -> Result<(), Error> {
        Lifetime::new(HOUR / 10_000_000, HOUR)?;
        Ok(())
    }
    let error = setup().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Setup, StatusCode::INTERNAL_SERVER_ERROR));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("at least one second"));
    let error = Error::from("x".parse::<SessionId>().unwrap_err());
    assert_eq!((error.kind(), error.status()), (ErrorKind::InvalidId, StatusCode::BAD_REQUEST));
}

/// Collects the responses for an unavailable store: as a rejection, by a handler's `?`, and at the commit.
async fn told_three_times(
    layer: &SessionLayer<impl session_layer::middleware::ErrorResponse<Body> + Clone + Send + Sync + 'static>,
    site: &Site,
) -> [Reply; 3] {
    let router = Router::new()
        .route("/rejected", any(async |_: Session| "never"))
        .route("/returned", any(async |lazy: LazySession| lazy.session().await.map(drop)))
        .route("/commit", any(async |session: Session| session.insert("n", 1)))
        .layer(layer.clone());
    let jar = site.visitor().await;
    let send = async |path: &str, cookie: Option<String>| {
        let mut request = Request::get(path);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        answered(router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    };
    site.store.inject(Fault::unavailable().on(Operation::Load));
    site.store.inject(Fault::unavailable().on(Operation::Create));
    let replies =
        [send("/rejected", jar.line()).await, send("/returned", jar.line()).await, send("/commit", None).await];
    site.store.heal();
    replies
}

#[tokio::test]
async fn an_error_has_the_same_answer_as_a_rejection_from_a_handler_and_at_the_commit() {
    let site = Site::new();
    for reply in told_three_times(&site.layer, &site).await {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.body, "the session is not available now: try again later");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(reply.header("vary"), "Cookie");
    }
}

#[tokio::test]
async fn one_function_answers_errors_wherever_they_arise() {
    let site = Site::new();
    // The layer's type can be named, although the function is a closure.
    let layer: SessionLayer<CustomErrorResponse<Body>> = SessionLayer::builder(site.store.clone())
        .clock(site.clock.clone())
        .error_response(|error| (StatusCode::IM_A_TEAPOT, Json(format!("{:?}", error.kind()))).into_response())
        .build()
        .unwrap();
    for reply in told_three_times(&layer, &site).await {
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::IM_A_TEAPOT, "\"Unavailable\""));
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("vary"), "Cookie");
    }
    let router = Router::new().route("/", any(async |session: Session| session.insert("", 1))).layer(layer);
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!(reply.body, "\"InvalidKey\"");
}

/// `IntoResponse` for an `Error` calls the function, so a function that calls it in turn must get the default.
#[tokio::test]
async fn a_function_can_fall_back_to_the_default_answer() {
    const TWO_SESSIONS: &str = "the request has two session cookies: sign in again, and if that does not help, delete this \
                                site's cookies in the browser first";
    let site = Site::new();
    let layer = SessionLayer::builder(site.store.clone())
        .clock(site.clock.clone())
        .error_response(|error| match error.kind() {
            ErrorKind::InvalidKey => StatusCode::IM_A_TEAPOT.into_response(),
            _ => error.clone().into_response(),
        })
        .build()
        .unwrap();
    let router = Router::new()
        .route("/rejected", any(async |_: Session| "never"))
        .route("/returned", any(async |session: Session| session.get::<String>("n").map(drop)))
        .route(
            "/twice",
            any(async |session: Session| {
                let ours = session.insert("", 1).unwrap_err().into_response();
                let default = session.get::<String>("n").unwrap_err().into_response();
                (
                    ours.status(),
                    format!("{}, then {}", default.status(), session.insert("", 1).into_response().status()),
                )
            }),
        )
        .route("/commit", any(async |session: Session| session.insert("n", 1)));
    // The outer layer's function must not answer for the inner one's either.
    let outer = SessionLayer::builder(site.store.clone())
        .clock(site.clock.clone())
        .cookie(session_layer::CookieConfig::new("outer").secure(false))
        .error_response(|_| StatusCode::IM_A_TEAPOT.into_response())
        .build()
        .unwrap();
    let nested = router.clone().layer(layer.clone()).layer(outer);
    let [one, two] = [site.visitor().await, site.visitor().await].map(|jar| jar.line().unwrap());
    let both = format!("{one}; {two}");
    for router in [router.layer(layer), nested] {
        for (path, cookies, status, text, expected_events) in [
            ("/rejected", Some(&both), StatusCode::BAD_REQUEST, TWO_SESSIONS, ("WARN", 1)),
            ("/returned", Some(&one), StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", ("ERROR", 1)),
            (
                "/commit",
                None,
                StatusCode::SERVICE_UNAVAILABLE,
                "the session is not available now: try again later",
                ("ERROR", 1),
            ),
            (
                "/twice",
                Some(&one),
                StatusCode::IM_A_TEAPOT,
                "500 Internal Server Error, then 418 I'm a teapot",
                ("ERROR", 3),
            ),
        ] {
            if path == "/commit" {
                site.store.inject(Fault::unavailable().on(Operation::Create));
            }
            let (events, _guard) = Events::keep();
            let mut request = request(cookies.map(String::as_str));
            *request.uri_mut() = path.parse().unwrap();
            let reply = answered(router.clone().oneshot(request).await.unwrap()).await;
            assert_eq!((reply.status, reply.body.as_str()), (status, text), "{path}");
            let reported: Vec<_> = events
                .all()
                .into_iter()
                .filter(|event| event.starts_with("WARN") || event.starts_with("ERROR"))
                .collect();
            let (level, count) = expected_events;
            assert!(
                reported.len() == count && reported.iter().all(|event| event.starts_with(level)),
                "{path}: {reported:#?}"
            );
            site.store.heal();
        }
    }
}

/// Another layer's function is not used, nor is one after the handler of its layer is over.
#[tokio::test]
async fn without_a_layer_around_it_an_error_has_the_default_answer() {
    let response = Error::from("x".parse::<SessionId>().unwrap_err()).into_response();
    let reply = answered(response).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::BAD_REQUEST, "Bad Request"));
}

#[tokio::test]
async fn what_the_load_has_reported_is_not_reported_again_by_the_answer() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt] {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(Fault::error(kind).on(Operation::Load));
        let (events, _guard) = Events::keep();
        let reply = site.send(&jar, async |session: Result<Session, Error>| session.map(drop)).await;
        assert!(reply.status.is_server_error());
        let reported = events.count(Level::ERROR, "session not loaded")
            + events.count(Level::ERROR, "session record can't be opened");
        assert_eq!((reported, events.count(Level::ERROR, "a handler answered with a session error")), (1, 0));
    }
}

/// An error of this crate that becomes a server error was reported with its reason; the visitor sees only the status.
#[tokio::test]
async fn an_entry_that_can_not_be_decoded_is_an_event_that_names_key_and_type() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _kept) = Events::keep();
    let reply = site
        .send(&jar, async |session: Session| {
            session.insert("dropped", 1)?;
            session.get::<Vec<String>>("n").map(drop)
        })
        .await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert_eq!(events.count(Level::ERROR, "a handler answered with a session error"), 1);
    let told = events.all().into_iter().find(|line| line.contains("a handler answered")).unwrap();
    assert!(told.contains(r#""n""#) && told.contains("Vec<alloc::string::String>"), "{told}");
}

#[tokio::test]
async fn an_owner_is_named_by_whatever_the_application_has() {
    let site = Site::new();
    let id = uuid::Uuid::from_u128(7);
    type Login = Box<dyn Fn(&Session) -> Result<(), Error>>;
    let names: [Login; 6] = [
        Box::new(|session| session.login("ada")),
        Box::new(|session| session.login(String::from("ada"))),
        Box::new(|session| session.login(&String::from("ada"))),
        Box::new(|session| session.login(7_u64)),
        Box::new(move |session| session.login(id)),
        Box::new(move |session| session.set_owner(&id)),
    ];
    for (login, name) in names.into_iter().zip(["ada", "ada", "ada", "7", &id.to_string(), &id.to_string()]) {
        let session = site.layer.new_session();
        login(&session).unwrap();
        assert_eq!(session.owner().as_deref(), Some(name));
        assert!(session.is_owned_by(name) && !session.is_owned_by("eve"));
        session.save().await.unwrap();
    }
    let sessions = site.layer.sessions();
    assert_eq!(sessions.of_owner(String::from("ada")).await.unwrap().len(), 3);
    assert_eq!(sessions.of_owner(7).await.unwrap().len(), 1);
    assert_eq!(sessions.revoke_all(id).await.unwrap(), 2);
    assert_eq!(sessions.of_owner(&id).await.unwrap().len(), 0);
    let nobody = site.layer.new_session();
    assert!(!nobody.is_owned_by("") && !nobody.is_owned_by("x".repeat(2_000)));
    for wrong in ["", &"x".repeat(1_025)] {
        assert_eq!(nobody.login(wrong).unwrap_err().kind(), ErrorKind::InvalidOwner);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct End {
    id: SessionId,
}

#[tokio::test]
async fn an_id_travels_in_paths_forms_and_json() {
    let id = SessionId::for_epoch("x");
    let json = format!("{{\"id\":\"{id}\"}}");
    assert_eq!(serde_json::to_string(&End { id }).unwrap(), json);
    assert_eq!(serde_json::from_str::<End>(&json).unwrap(), End { id });
    let upper = json.to_uppercase().replace("ID", "id");
    assert!(serde_json::from_str::<End>(&upper).unwrap_err().to_string().contains("not a session id"));
    let site = Site::new();
    let router = Router::new()
        .route("/path/{id}", any(async |Path(id): Path<SessionId>| id.to_string()))
        .route("/form", any(async |Form(End { id }): Form<End>| id.to_string()))
        .layer(site.layer.clone());
    for uri in [format!("/path/{id}"), format!("/form?id={id}")] {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        assert_eq!(answered(router.clone().oneshot(request).await.unwrap()).await.body, id.to_string());
    }
    let request = Request::get("/path/7").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::BAD_REQUEST);
    // And in an entry.
    let session = site.layer.new_session();
    session.insert("id", id).unwrap();
    assert_eq!(session.get("id").unwrap(), Some(id));
}

#[tokio::test]
async fn a_handler_gets_the_stores_sessions_as_an_argument() {
    let site = Site::new();
    let jar = site.member("ada").await;
    let reply =
        site.send(&jar, async |sessions: Sessions| Ok::<_, Error>(sessions.of_owner("ada").await?.len().to_string()));
    assert_eq!(reply.await.body, "1");
    let (events, _guard) = Events::keep();
    let router: Router = Router::new().route("/", any(async |_: Sessions| "never"));
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert_eq!(events.count(Level::ERROR, "no SessionLayer wraps its route"), 1);
}

#[tokio::test]
async fn a_lazy_session_can_be_made_for_a_test() {
    let site = Site::new();
    let lazy = LazySession::new(site.layer.new_session());
    assert!(!lazy.has_cookie());
    assert!(lazy.session().await.unwrap().is_new());
    assert!(!lazy.destroy().await.unwrap());
    let session = site.layer.new_session();
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    let lazy = LazySession::new(session.clone());
    assert!(lazy.has_cookie());
    assert_eq!(lazy.session().await.unwrap().get::<u8>("n").unwrap(), Some(1));
    assert!(lazy.destroy().await.unwrap());
    assert!(session.is_new());
}
