//! The layer around a service: its cost, extraction, and response headers.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{Router, routing::any};
use http::{Request, Response, StatusCode, header};
use session_layer::{
    Error, LazySession, Session, SessionHandle, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    store::Listing,
};
use tower::{Layer, Service, ServiceExt};

use crate::support::*;

#[tokio::test]
async fn an_untouched_session_costs_no_call_and_leaves_the_response() {
    let site = Site::new();
    let jar = site.visitor().await;
    for jar in [&jar, &site.jar()] {
        let reply = site.send(jar, async || "page").await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "page"));
        for name in ["vary", "cache-control", "set-cookie"] {
            assert_eq!(reply.header(name), "");
        }
        let reply = site.send(jar, async |_: LazySession| "page").await;
        assert_eq!(reply.header("vary"), "");
    }
    assert_eq!(site.store.total(), 0);
}

#[tokio::test]
async fn a_session_is_loaded_once_in_a_request() {
    let site = Site::new();
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |one: Session, two: Option<Session>, three: Result<Session, Error>, lazy: LazySession| {
            one.insert("m", 1).unwrap();
            let three = three.unwrap();
            assert_eq!(two.unwrap().get::<u8>("m").unwrap(), Some(1), "they share one state");
            assert!(lazy.has_cookie());
            assert_eq!(lazy.session().await.unwrap().get::<u8>("m").unwrap(), three.get::<u8>("m").unwrap());
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.store.calls(Operation::Load), 1);
    assert_eq!(site.store.calls(Operation::Update), 1);
    // A failed load is not repeated either.
    site.store.forget();
    site.store.inject(Fault::unavailable().on(Operation::Load));
    site.send(&jar, async |one: Result<Session, Error>, two: Result<Session, Error>| {
        assert!(one.is_err() && two.is_err());
    })
    .await;
    assert_eq!(site.store.calls(Operation::Load), 1);
}

#[tokio::test]
async fn an_optional_session_is_none_for_a_visitor_without() {
    let site = Site::new();
    let jar = site.visitor().await;
    let handler = async |session: Option<Session>| session.is_some().to_string();
    assert_eq!(site.send(&site.jar(), handler).await.body, "false");
    assert_eq!(site.send(&jar, handler).await.body, "true");
    site.store.inject(Fault::unavailable().on(Operation::Load));
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::SERVICE_UNAVAILABLE, "not `None`");
}

#[tokio::test]
async fn a_lazy_session_loads_on_first_use() {
    let site = Site::new();
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |lazy: LazySession| {
            lazy.session().await.unwrap().get::<u8>("n").unwrap().unwrap().to_string()
        })
        .await;
    assert_eq!(reply.body, "1");
    assert_eq!(reply.header("vary"), "Cookie");
    let reply = site.send(&jar, async |lazy: LazySession| lazy.destroy().await.unwrap().to_string()).await;
    assert_eq!(reply.body, "true");
    assert!(reply.cookies()[0].contains("Max-Age=0"));
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn only_the_wrapped_route_has_a_session() {
    let site = Site::new();
    let handler = async |session: Session| session.is_new().to_string();
    let router: Router =
        Router::new().route("/with", any(handler).layer(site.layer.clone())).route("/without", any(handler));
    for (path, status) in [("/with", StatusCode::OK), ("/without", StatusCode::INTERNAL_SERVER_ERROR)] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), status);
    }
}

/// A body type with `Default` alone, and a service that is neither `Clone` nor axum's.
#[derive(Default)]
struct Nothing;

struct Plain;

impl Service<Request<Nothing>> for Plain {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Nothing>) -> Self::Future {
        Box::pin(async move {
            let not_send = std::rc::Rc::new(1_u8);
            let session = SessionHandle::of(request.extensions()).unwrap().session(request.headers()).await.unwrap();
            session.insert("n", *not_send).unwrap();
            Ok(Response::new(Nothing))
        })
    }
}

#[tokio::test]
async fn any_tower_service_will_do() {
    let site = Site::new();
    let mut service = site.layer.layer(Plain);
    let response = service.ready().await.unwrap().call(Request::new(Nothing)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key(header::SET_COOKIE));
    site.store.inject(Fault::unavailable().on(Operation::Create));
    let response = service.ready().await.unwrap().call(Request::new(Nothing)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_stream_saves_after_the_response_has_begun() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (begun, wait) = tokio::sync::oneshot::channel::<()>();
    let (begun, wait) = (Mutex::new(Some(begun)), Arc::new(Mutex::new(Some(wait))));
    let (done, finished) = tokio::sync::oneshot::channel();
    let done = Arc::new(Mutex::new(Some(done)));
    let reply = site
        .send(&jar, async move |session: Session| {
            let (wait, done) = (wait.lock().unwrap().take().unwrap(), done.lock().unwrap().take().unwrap());
            tokio::spawn(async move {
                wait.await.unwrap();
                session.insert("streamed", 1).unwrap();
                done.send(session.save().await).unwrap();
            });
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.store.calls(Operation::Update), 0);
    begun.lock().unwrap().take().unwrap().send(()).unwrap();
    finished.await.unwrap().unwrap();
    assert_eq!(site.entry(&jar, "streamed").await.as_deref(), Some("1"));
}

/// Polls once.
async fn once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    let mut future = future;
    poll_fn(move |cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A client disconnects at every await point of a logout. Once the handler has called `destroy`, the session ends.
#[tokio::test(start_paused = true)]
async fn a_client_that_disconnects_during_a_logout_is_logged_out() {
    let mut finished = false;
    let mut left_after_destroy = 0;
    for polls in 1.. {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(Fault::slow(Duration::from_millis(1)));
        site.store.inject(Fault::slow(Duration::from_millis(1)));
        let said = Arc::new(AtomicBool::new(false));
        let flag = said.clone();
        let mut router = site.router(async move |session: Session| {
            tokio::task::yield_now().await;
            session.destroy().unwrap();
            flag.store(true, Ordering::SeqCst);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        {
            let call = router.as_service().ready().await.unwrap().call(request(jar.line().as_deref()));
            let mut call = pin!(call);
            for _ in 0..polls {
                if once(call.as_mut()).await.is_ready() {
                    finished = true;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // Lets the commit that runs in its own task finish.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let said = said.load(Ordering::SeqCst);
        assert_eq!(site.stored(&jar.id()).await.is_none(), said, "after {polls} polls");
        left_after_destroy += usize::from(said && !finished);
        // Whatever state the dropped request left, a complete logout works.
        let mut jar = jar;
        site.store.heal();
        site.visit(&mut jar, async |session: Session| session.destroy()).await;
        assert_eq!(site.store.inner().count().await.unwrap(), 0);
        if finished {
            break;
        }
    }
    assert!(left_after_destroy >= 3, "it was dropped in between: {left_after_destroy}");
}

/// A login is dropped at every await point. It leaves either the old session, whole, or the new one alone.
#[tokio::test(start_paused = true)]
async fn a_client_that_disconnects_during_a_login_leaves_the_old_or_the_new_session() {
    let mut finished = false;
    let (mut olds, mut news) = (0, 0);
    for polls in 1.. {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(Fault::slow(Duration::from_millis(1)));
        let mut router = site.router(async move |session: Session| {
            session.insert("m", 1).unwrap();
            tokio::task::yield_now().await;
            session.login("ada").unwrap();
            tokio::task::yield_now().await;
        });
        {
            let call = router.as_service().ready().await.unwrap().call(request(jar.line().as_deref()));
            let mut call = pin!(call);
            for _ in 0..polls {
                if once(call.as_mut()).await.is_ready() {
                    finished = true;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let old = site.stored(&jar.id()).await.unwrap();
        assert_eq!(site.store.inner().count().await.unwrap(), 1, "one live session, after {polls} polls");
        if old.record.is_session() {
            assert_eq!(old.record.entries().len(), 1);
            olds += 1;
        } else {
            news += 1;
        }
        if finished {
            break;
        }
    }
    assert!(olds >= 1 && news >= 2, "both were met: {olds}, {news}");
}

/// A commit that renews the session runs to its end, even if the client disconnects right after it began.
#[tokio::test]
async fn a_login_whose_commit_has_begun_survives_a_disconnect() {
    let site = Site::new();
    let jar = site.visitor().await;
    let old = jar.id();
    {
        let mut router = site.router(async |session: Session| session.login("ada"));
        let call = router.as_service().ready().await.unwrap().call(request(jar.line().as_deref()));
        let mut call = pin!(call);
        // The commit has begun once a poll could have sent the rename to the store.
        let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let left = site.stored(&old).await.unwrap();
    assert!(!left.record.is_session(), "the old token is superseded");
}

#[tokio::test]
async fn a_live_session_is_found_among_dead_cookies_in_any_order() {
    let site = Site::new();
    let (live, dead) = (site.visitor().await, site.visitor().await);
    site.store.inner().remove(&dead.id()).await.unwrap();
    let (live, dead) = (live.line().unwrap(), dead.line().unwrap());
    let orders = [
        format!("{live}; {dead}"),
        format!("{dead}; {live}"),
        format!("{dead}; {dead}; {dead}; {live}"),
        format!("{live}; {live}"),
        format!("__Host-sid=short; {live}; __Host-sid=; __Host-sid=also"),
    ];
    for cookies in orders {
        let router = site.router(async |session: Session| session.get::<u8>("n").unwrap().unwrap().to_string());
        let reply = answered(router.oneshot(request(Some(&cookies))).await.unwrap()).await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "1"), "{cookies}");
    }
}

#[tokio::test]
async fn a_superseded_cookie_beside_a_live_one_is_ignored() {
    let site = Site::new();
    let old = site.visitor().await;
    let mut new = old.clone();
    site.visit(&mut new, async |session: Session| session.login("ada")).await;
    for cookies in [[&old, &new], [&new, &old]] {
        let cookies = cookies.map(|jar| jar.line().unwrap()).join("; ");
        let router = site.router(async |session: Session| session.insert("m", 1));
        let reply = answered(router.oneshot(request(Some(&cookies))).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(site.entry(&new, "m").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn more_than_four_cookies_cost_four_loads() {
    let site = Site::new();
    let mut cookies = Vec::new();
    for _ in 0..6 {
        let jar = site.visitor().await;
        site.store.inner().remove(&jar.id()).await.unwrap();
        cookies.push(jar.line().unwrap());
    }
    site.store.forget();
    let router = site.router(async |session: Session| session.is_new().to_string());
    let reply = answered(router.oneshot(request(Some(&cookies.join("; ")))).await.unwrap()).await;
    assert_eq!(reply.body, "true");
    assert_eq!(site.store.calls(Operation::Load), 4);
}

#[tokio::test]
async fn split_cookie_lines_are_read_together() {
    let site = Site::new();
    let jar = site.visitor().await;
    let mut request = request(Some("theme=dark"));
    request.headers_mut().append(header::COOKIE, jar.line().unwrap().parse().unwrap());
    request.headers_mut().append(header::COOKIE, "lang=en".parse().unwrap());
    let router = site.router(async |session: Session| session.is_new().to_string());
    assert_eq!(answered(router.oneshot(request).await.unwrap()).await.body, "false");
}

#[tokio::test]
async fn the_handlers_headers_are_kept_where_they_can_be() {
    let site = Site::new();
    let jar = site.visitor().await;
    let headers = [("cache-control", "max-age=60"), ("vary", "Accept"), ("set-cookie", "theme=dark")];
    let reply = site.send(&jar, async move |_: Session| (headers, "page")).await;
    assert_eq!(reply.header("cache-control"), "max-age=60");
    assert_eq!(reply.header("vary"), "Accept, Cookie");
    let reply = site
        .send(&jar, async move |session: Session| {
            session.renew().unwrap();
            (headers, "page")
        })
        .await;
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.cookies().len(), 2);
    assert_eq!(reply.cookies()[0], "theme=dark");
    let site = Site::with(|builder| builder.cache_headers(false));
    let reply = site.send(&site.jar(), async |session: Session| session.insert("n", 1)).await;
    assert_eq!(reply.header("cache-control") + &reply.header("vary"), "");
    assert_eq!(reply.cookies().len(), 1);
}

#[tokio::test]
async fn a_response_that_depends_on_has_cookie_varies_by_cookie() {
    let site = Site::new();
    let reply = site.send(&site.jar(), async |lazy: LazySession| lazy.has_cookie().to_string()).await;
    assert_eq!(reply.body, "false");
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("cache-control"), "private");
    assert_eq!(site.store.total(), 0);
}

/// One request's commit needs no lock that another's handler holds.
#[tokio::test]
async fn requests_of_one_session_do_not_wait_for_each_other() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let slow = tokio::spawn(site.send(&jar, async |session: Session| session.insert("slow", 1)));
    gate.reached().await;
    let reply = site.send(&jar, async |session: Session| session.insert("fast", 1)).await;
    assert_eq!(reply.status, StatusCode::OK);
    gate.release();
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "slow").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "fast").await.as_deref(), Some("1"));
}

/// The panic unwinds through the layer. A `destroy` before it still takes effect.
#[tokio::test]
async fn a_handler_that_panics_saves_nothing_and_still_destroys() {
    let site = Site::new();
    let (kept, ended) = (site.visitor().await, site.visitor().await);
    let panics = |destroys: bool| {
        async move |session: Session| {
            session.insert("n", 2).unwrap();
            if destroys {
                session.destroy().unwrap();
            }
            panic!("the handler's own");
            #[allow(unreachable_code, reason = "it names the type")]
            ""
        }
    };
    assert!(tokio::spawn(site.send(&kept, panics(false))).await.unwrap_err().is_panic());
    assert!(tokio::spawn(site.send(&ended, panics(true))).await.unwrap_err().is_panic());
    tokio::task::yield_now().await;
    assert_eq!(site.entry(&kept, "n").await.as_deref(), Some("1"));
    assert!(site.stored(&ended.id()).await.is_none());
}

/// A panicking closure leaves the session usable.
#[tokio::test]
async fn a_closure_that_panics_leaves_the_session_usable() {
    let site = Site::new();
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |session: Session| {
            let own = session.clone();
            let update = std::panic::AssertUnwindSafe(|| own.update("n", |_: &mut u8| panic!("the closure's own")));
            assert!(std::panic::catch_unwind(update).is_err());
            assert_eq!(session.get::<u8>("n")?, Some(1));
            session.insert("m", 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "m").await.as_deref(), Some("1"));
}
