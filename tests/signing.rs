//! Signed cookies at the layer: forged ones cost no store call, and turning signing on logs nobody out.

use std::time::{Duration, SystemTime};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, header};
use session_layer::{Clock, KeyRing, MemoryStore, Secret, Session, SessionLayer, conformance::fault::FaultStore};
use tower::ServiceExt;

fn ring(first: u8) -> KeyRing {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).expect("below 32").wrapping_mul(37) ^ first);
    KeyRing::new(Secret::from_bytes(bytes).expect("a strong secret"))
}

fn app(layer: SessionLayer) -> Router {
    let visit = |session: Session| async move {
        session
            .update("n", |n: &mut u64| {
                *n += 1;
                *n
            })
            .map(|n| n.to_string())
    };
    Router::new().route("/", get(visit)).layer(layer)
}

async fn visit(app: &Router, cookie: Option<&str>) -> (Option<String>, String) {
    let mut request = Request::get("/");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let response: Response<Body> =
        app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let set = response
        .headers()
        .get(header::SET_COOKIE)
        .map(|line| line.to_str().expect("ASCII").split(';').next().expect("a pair").to_owned());
    let body = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a short body");
    (set, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_signed_session_survives_requests_and_renewal() {
    let app = app(SessionLayer::builder(MemoryStore::new()).sign(ring(1)).build().expect("good settings"));
    let (cookie, body) = visit(&app, None).await;
    let cookie = cookie.expect("a new session has a cookie");
    assert_eq!(body, "1");
    assert!(cookie.starts_with("__Host-sid=") && cookie.contains('.'), "{}", cookie.len());
    assert_eq!(visit(&app, Some(&cookie)).await, (None, "2".to_owned()));
}

/// Changes every byte in turn: the value is forged or malformed, and the store is not asked.
#[tokio::test]
async fn a_forged_cookie_costs_no_store_call() {
    let store = FaultStore::new(MemoryStore::new());
    let app = app(SessionLayer::builder(store.clone()).sign(ring(1)).build().expect("good settings"));
    let (cookie, _) = visit(&app, None).await;
    let cookie = cookie.expect("a new session has a cookie");
    let value = cookie.strip_prefix("__Host-sid=").expect("the name").to_owned();
    let token = value.split('.').next().expect("a token").to_owned();
    let reads = Router::new()
        .route("/", get(|session: Session| async move { session.is_new().to_string() }))
        .layer(SessionLayer::builder(store.clone()).sign(ring(1)).build().expect("good settings"));
    store.forget();
    for at in 0..value.len() {
        let mut forged = value.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = format!("__Host-sid={}", String::from_utf8(forged).expect("ASCII"));
        assert_eq!(visit(&reads, Some(&forged)).await.1, "true", "byte {at}");
    }
    assert_eq!(visit(&reads, Some(&format!("__Host-sid={token}"))).await.1, "true", "unsigned");
    assert!(store.log().is_empty(), "no store call");
    assert_eq!(visit(&reads, Some(&cookie)).await.1, "false");
}

/// The value is signed for one cookie and sent as another.
#[tokio::test]
async fn a_signature_is_bound_to_the_cookies_name() {
    let store = FaultStore::new(MemoryStore::new());
    let layer = |name: &str| {
        let cookie = session_layer::CookieConfig::new(name);
        SessionLayer::builder(store.clone()).cookie(cookie).sign(ring(1)).build().expect("good settings")
    };
    let (cookie, _) = visit(&app(layer("a")), None).await;
    let swapped = cookie.expect("a new session has a cookie").replace("__Host-a=", "__Host-b=");
    store.forget();
    let (_, body) = visit(&app(layer("b")), Some(&swapped)).await;
    assert_eq!(body, "1");
    assert_eq!(store.calls(session_layer::conformance::Operation::Load), 0);
}

#[tokio::test]
async fn turning_signing_on_logs_nobody_out() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let clock = Clock::manual(start);
    let store = MemoryStore::builder().clock(clock.clone()).open().expect("good settings");
    let unsigned = app(SessionLayer::builder(store.clone()).clock(clock.clone()).build().expect("good settings"));
    let (cookie, _) = visit(&unsigned, None).await;
    let cookie = cookie.expect("a new session has a cookie");
    let until = start + Duration::from_secs(60);
    let signed = SessionLayer::builder(store).clock(clock.clone()).sign(ring(1)).accept_unsigned_until(until);
    let signed = app(signed.build().expect("good settings"));
    assert_eq!(visit(&signed, Some(&cookie)).await, (None, "2".to_owned()));
    clock.advance(Duration::from_secs(60));
    let (fresh, body) = visit(&signed, Some(&cookie)).await;
    assert!(fresh.is_some_and(|fresh| fresh != cookie));
    assert_eq!(body, "1");
}

/// A value signed by an old key on the ring is accepted; one signed by a removed key is forged.
#[tokio::test]
async fn a_signing_key_can_be_rotated() {
    let store = MemoryStore::new();
    let layer = |ring| SessionLayer::builder(store.clone()).sign(ring).build().expect("good settings");
    let (cookie, _) = visit(&app(layer(ring(1))), None).await;
    let cookie = cookie.expect("a new session has a cookie");
    let old = Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| {
        u8::try_from(i).expect("below 32").wrapping_mul(37) ^ 1
    }));
    let both = ring(2).opening(old.expect("a strong secret")).expect("another key");
    assert_eq!(visit(&app(layer(both)), Some(&cookie)).await, (None, "2".to_owned()));
    assert!(visit(&app(layer(ring(2))), Some(&cookie)).await.0.is_some(), "a fresh session");
}

#[test]
fn a_date_without_a_ring_is_refused() {
    let error = SessionLayer::builder(MemoryStore::new()).accept_unsigned_until(SystemTime::now()).build().unwrap_err();
    assert!(error.to_string().contains("add `sign(ring)`"), "{error}");
}
