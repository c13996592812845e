//! Measures whole requests a second with one thread and with two, over one memory store with 100,000 sessions.
//!
//! ```sh
//! cargo run --release -p engines --bin threads
//! ```
//!
//! Each thread has a current-thread runtime and a clone of one router with the layer, as in a server with one thread
//! for each core. A request reads the `user` of a session picked at random. Rounds of one thread and of two alternate.
//! Rounds of the same router without the layer, cloned as well, are interleaved with them, to show what the machine and
//! axum achieve at that time. The ratio is the median of the rounds' ratios.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::{convert::Infallible, hint::black_box, sync::Barrier, time::Instant};

use axum::{Router, body::Body, routing::get};
use engines::{Random, now};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use session_layer::{Error, Key, MemoryStore, Session, SessionLayer, store::Listing};
use tower::Service;

const SESSIONS: usize = 100_000;
const ROUNDS: usize = 41;
const REQUESTS: usize = 40_000;

const USER: Key<User> = Key::new("user");

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    email: String,
    roles: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    sku: String,
    count: u32,
    cents: u64,
}

async fn seed(session: Session) -> Result<&'static str, Error> {
    let roles = ["admin", "editor", "reader"].map(String::from).to_vec();
    session.insert(USER, &User { id: 4_711, name: "Ada Lovelace".into(), email: "ada@example.org".into(), roles })?;
    let cart: Vec<_> = (0..10).map(|at| Item { sku: format!("SKU-{at:06}"), count: 1, cents: 1_999 }).collect();
    session.insert("cart", &cart)?;
    session.insert("csrf", "0123456789abcdef0123456789abcdef")?;
    session.insert("n", 0_u64)?;
    Ok("ok")
}

async fn read(session: Session) -> Result<&'static str, Error> {
    black_box(session.get(USER)?.expect("it is filled"));
    Ok("ok")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn request(path: &'static str, cookie: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::get(path).body(Body::empty()).expect("a request");
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    request
}

async fn call(router: &mut Router, request: Request<Body>) -> Response<Body> {
    let response: Result<_, Infallible> = router.call(request).await;
    let Ok(response) = response;
    assert_eq!(response.status(), StatusCode::OK);
    response
}

/// Creates the sessions and returns their cookies.
async fn filled(router: &mut Router) -> Vec<HeaderValue> {
    let mut cookies = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        let response = call(router, request("/seed", None)).await;
        let line = response.headers()[header::SET_COOKIE].to_str().expect("text");
        let pair = line.split(';').next().unwrap_or_default();
        cookies.push(HeaderValue::from_str(pair).expect("a pair"));
    }
    cookies
}

/// Returns the whole requests a second of this many threads.
fn round(router: &Router, cookies: &[HeaderValue], threads: usize, seed: u64) -> f64 {
    let barrier = Barrier::new(threads);
    let spans = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, mut router) = (&barrier, router.clone());
                scope.spawn(move || {
                    runtime().block_on(async {
                        let mut random = Random(seed + thread as u64);
                        barrier.wait();
                        let began = Instant::now();
                        for _ in 0..REQUESTS {
                            let cookie = &cookies[random.below(cookies.len())];
                            black_box(call(&mut router, request("/read", Some(cookie))).await);
                        }
                        (began, Instant::now())
                    })
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panics")).collect::<Vec<_>>()
    });
    let began = spans.iter().map(|span| span.0).min().expect("a thread");
    let ended = spans.iter().map(|span| span.1).max().expect("a thread");
    (REQUESTS * threads) as f64 / (ended - began).as_secs_f64()
}

fn main() {
    let store = MemoryStore::builder().capacity(200_000).bytes(1 << 32).open().expect("good settings");
    let mut router =
        Router::new().route("/seed", get(seed)).route("/read", get(read)).layer(SessionLayer::new(store.clone()));
    let bare = Router::new().route("/read", get(async || "ok"));
    let cookies = runtime().block_on(filled(&mut router));
    assert_eq!(now(store.count()).expect("open"), SESSIONS as u64);
    let mut rates = [const { Vec::new() }; 4];
    for number in 0..ROUNDS {
        let seed = 1 + number as u64 * 7;
        for (at, (router, threads)) in [(&router, 1), (&router, 2), (&bare, 1), (&bare, 2)].into_iter().enumerate() {
            rates[at].push(round(router, &cookies, threads, seed));
        }
    }
    let [one, two, bare_one, bare_two] = &rates;
    let ratio = print("with the layer", one, two);
    let machine = print("router alone", bare_one, bare_two);
    println!("budget: 1.5 with the layer; {:.2} of what the router alone reaches", ratio / machine);
}

fn print(what: &str, one: &[f64], two: &[f64]) -> f64 {
    let mut ratios: Vec<_> = one.iter().zip(two).map(|(one, two)| two / one).collect();
    ratios.sort_by(f64::total_cmp);
    let quantile = |part: f64| ratios[((ratios.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: one thread {:.0} requests a second, two {:.0}; ratio {:.2} (quarter of the rounds below {:.2}, above {:.2})",
        median(one),
        median(two),
        quantile(0.5),
        quantile(0.25),
        quantile(0.75)
    );
    quantile(0.5)
}

fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
