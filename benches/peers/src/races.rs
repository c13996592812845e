//! What is kept if requests of one session overlap.
//!
//! Each request is correct by itself, and uses the library as its documentation shows. A race runs several times on two
//! threads, each time with a new session, and the worst result counts.

use std::{sync::LazyLock, time::Duration};

use axum::response::Response;
use http::{Uri, header};
use serde::Serialize;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    call::{get, number, send, set_cookies},
    gate::RACERS,
    progress, runtime,
    shape::Shape,
    subjects::{self, Kind, Subject},
};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Races {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    /// How many keys were kept, of `RACERS` keys that as many requests set.
    #[serde(rename = "keys_kept")]
    pub(crate) keys: u64,
    /// The counter after `RACERS` increments from 0.
    #[serde(rename = "increments_kept")]
    pub(crate) increments: u64,
    /// How often a session reappeared because a request that began before the logout ended after it.
    #[serde(rename = "back_after_logout")]
    pub(crate) back: u64,
    pub(crate) times: usize,
}

pub(crate) fn all(times: usize) -> Vec<Races> {
    progress("races");
    let runtime = runtime::two_threads();
    subjects::WITH_SESSIONS.into_iter().map(|kind| runtime.block_on(of(kind, times))).collect()
}

async fn of(kind: Kind, times: usize) -> Races {
    let mut races = Races { kind, keys: u64::MAX, increments: u64::MAX, back: 0, times };
    for _ in 0..times {
        let subject = async || Subject::new(kind, Shape::Reference).await;
        let whole = async {
            races.keys = races.keys.min(keys(&subject().await).await);
            races.increments = races.increments.min(increments(&subject().await).await);
            races.back += u64::from(comes_back(&subject().await).await);
        };
        timeout(PATIENCE, whole).await.unwrap_or_else(|_| panic!("{}: the races stand still", kind.name()));
    }
    races
}

async fn keys(subject: &Subject) -> u64 {
    static PATHS: LazyLock<Vec<Uri>> =
        LazyLock::new(|| (0..RACERS).map(|at| Uri::try_from(format!("/key/k{at}")).expect("a path")).collect());
    together(subject, |at| PATHS[at].clone()).await;
    number(get(&subject.router, "/keys", Some(&subject.cookie)).await).await
}

async fn increments(subject: &Subject) -> u64 {
    together(subject, |_| Uri::from_static("/increment")).await;
    number(get(&subject.router, "/n", Some(&subject.cookie)).await).await
}

async fn together(subject: &Subject, path: impl Fn(usize) -> Uri) {
    let mut racers = JoinSet::new();
    for at in 0..RACERS {
        let (mut router, uri, cookie) = (subject.router.clone(), path(at), subject.cookie.clone());
        racers.spawn(async move { send(&mut router, &uri, Some(&cookie)).await });
    }
    for response in racers.join_all().await {
        assert!(response.status().is_success(), "{}: a racer got {}", subject.kind.name(), response.status());
    }
}

async fn comes_back(subject: &Subject) -> bool {
    let slow = tokio::spawn({
        let (router, cookie) = (subject.router.clone(), subject.cookie.clone());
        async move { get(&router, "/slow", Some(&cookie)).await }
    });
    subject.app.gate().until_at_work().await;
    let logout = get(&subject.router, "/logout", Some(&subject.cookie)).await;
    assert!(logout.status().is_success(), "{}: the logout got {}", subject.kind.name(), logout.status());
    subject.app.gate().go_on();
    let late = slow.await.expect("it does not panic");
    has_user(subject, None).await || has_user(subject, Some(&late)).await
}

/// Checks with the previous cookie, or with the one that a response set.
async fn has_user(subject: &Subject, answer: Option<&Response>) -> bool {
    let cookie = match answer {
        None => Some(subject.cookie.clone()),
        Some(answer) => set_cookies(answer.headers().get_all(header::SET_COOKIE).iter()),
    };
    let Some(cookie) = cookie else { return false };
    number(get(&subject.router, "/user", Some(&cookie)).await).await != 0
}
