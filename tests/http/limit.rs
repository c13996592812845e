//! A limit of sessions per owner, as visitors see it.

use http::StatusCode;
use session_layer::{
    AtLimit, Session,
    conformance::{Operation, fault::Step},
};
use tracing::Level;

use crate::support::*;

async fn log_in(session: Session) -> Result<(), session_layer::Error> {
    session.login("ada")
}

#[tokio::test]
async fn a_login_over_the_limit_is_409_and_keeps_the_anonymous_session() {
    let (events, _kept) = Events::keep();
    let site = Site::with(|builder| builder.sessions_per_owner(2, AtLimit::Refuse));
    let (_, _) = (site.member("ada").await, site.member("ada").await);
    let mut jar = site.visitor().await;
    let before = jar.value.clone();
    let reply = site.visit(&mut jar, log_in).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::CONFLICT, "Conflict"));
    assert_eq!((reply.header("vary"), reply.header("cache-control")), ("Cookie".to_owned(), "private".to_owned()));
    assert!(reply.sets_no_cookie());
    assert_eq!(jar.value, before);
    let whose = async |session: Session| format!("{:?} {:?}", session.owner(), session.get::<u8>("n"));
    assert_eq!(site.visit(&mut jar, whose).await.body, "None Ok(Some(1))");
    assert_eq!(events.count(Level::WARN, "login refused: its owner has the maximum number of sessions"), 1);
    assert_eq!(events.count(Level::ERROR, ""), 0, "{:?}", events.all());
    // As a word: a session's id can contain these three hexadecimal digits.
    let words = |event: &str| event.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "ada");
    assert!(!events.all().iter().any(|event| words(event)), "{:?}", events.all());
    // The response gives a first-time visitor no session.
    let mut new = site.jar();
    assert_eq!(site.visit(&mut new, log_in).await.status, StatusCode::CONFLICT);
    assert_eq!(new.value, None);
    assert_eq!(site.layer.sessions().count().await.unwrap(), 3);
}

/// The ended session's changes under way are not saved either.
#[tokio::test]
async fn the_oldest_session_ends_at_once_when_a_login_makes_room() {
    let site = Site::with(|builder| builder.sessions_per_owner(1, AtLimit::EndOldest));
    let old = site.member("ada").await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let late = tokio::spawn(site.send(&old, async |session: Session| session.insert("n", 9)));
    gate.reached().await;
    site.store.heal();
    let mut new = site.jar();
    assert_eq!(site.visit(&mut new, log_in).await.status, StatusCode::OK);
    gate.release();
    assert_eq!(late.await.unwrap().status, StatusCode::OK, "as if it had been first");
    let is_new = async |session: Session| session.is_new().to_string();
    assert_eq!(site.send(&old, is_new).await.body, "true");
    assert_eq!(site.send(&new, is_new).await.body, "false");
    assert_eq!(site.layer.sessions().of_owner("ada").await.unwrap().len(), 1);
}

/// A request that gives its session an owner is dropped while it makes room. Either both happen or neither.
#[tokio::test]
async fn a_dropped_login_makes_no_room_without_logging_in() {
    let site = Site::with(|builder| builder.sessions_per_owner(1, AtLimit::EndOldest));
    let old = site.member("ada").await;
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::End, Step::Before);
    let request = tokio::spawn(site.send(&jar, async |session: Session| session.set_owner("ada")));
    gate.reached().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    gate.release();
    let ids = async || {
        let list = site.layer.sessions().of_owner("ada").await.unwrap();
        list.iter().map(|session| session.id()).collect::<Vec<_>>()
    };
    while ids().await != [jar.id()] {
        tokio::task::yield_now().await;
    }
    assert!(site.stored(&old.id()).await.is_none());
}
