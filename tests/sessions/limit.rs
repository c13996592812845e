//! A limit of sessions per owner, applied when a login is committed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use session_layer::{
    AtLimit, Clock, Error, ErrorKind, MemcachedStore, MemoryStore, Session, SessionId, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, FaultStore, Step},
    },
    store::StoreErrorKind,
};
use tokio::task::JoinSet;

use crate::{
    memcached::Memcached,
    support::{clock, files},
};

const MOST: usize = 3;

fn limited(store: impl SessionStore, clock: &Clock, at_limit: AtLimit) -> SessionLayer {
    SessionLayer::builder(store).clock(clock.clone()).sessions_per_owner(MOST, at_limit).build().unwrap()
}

async fn login(layer: &SessionLayer, owner: &str) -> Result<Session, Error> {
    let session = layer.new_session();
    session.login(owner)?;
    session.save().await?;
    Ok(session)
}

async fn ids(layer: &SessionLayer, owner: &str) -> Vec<SessionId> {
    layer.sessions().of_owner(owner).await.unwrap().iter().map(|session| session.id()).collect()
}

#[tokio::test]
async fn the_oldest_sessions_end_to_make_room() {
    let clock = clock();
    let layer = limited(MemoryStore::with_clock(clock.clone()), &clock, AtLimit::EndOldest);
    let mut sessions = Vec::new();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(1));
        sessions.push(login(&layer, "ada").await.unwrap());
        assert!(ids(&layer, "ada").await.len() <= MOST);
    }
    let last: Vec<_> = sessions.iter().rev().take(MOST).map(|session| session.id().unwrap()).collect();
    assert_eq!(ids(&layer, "ada").await, last);
    // A late request of an ended session saves nothing.
    sessions[0].insert("n", 1).unwrap();
    assert_eq!(sessions[0].save().await.unwrap_err().kind(), ErrorKind::Gone);
    // Other owners' sessions don't count.
    login(&layer, "bob").await.unwrap();
    let nobody = layer.new_session();
    nobody.insert("n", 1).unwrap();
    nobody.save().await.unwrap();
    assert_eq!(ids(&layer, "ada").await, last);
    // A session that logs in again makes room for itself, and so does one that is renewed or saved.
    clock.advance(Duration::from_secs(1));
    sessions[2].insert("kept", 1).unwrap();
    for change in [|session: &Session, owner: &str| session.login(owner), |session: &Session, _: &str| session.renew()]
    {
        change(&sessions[2], "ada").unwrap();
        sessions[2].save().await.unwrap();
        assert_eq!(ids(&layer, "ada").await.len(), MOST);
        assert_eq!(ids(&layer, "ada").await[1..], last[..2]);
        assert_eq!(sessions[2].get::<u8>("kept").unwrap(), Some(1));
    }
    // A session that gets its owner without a login counts as well.
    nobody.set_owner("ada").unwrap();
    nobody.save().await.unwrap();
    let now = ids(&layer, "ada").await;
    assert_eq!((now.len(), now.contains(&nobody.id().unwrap()), now.contains(&last[1])), (MOST, true, false));
    // And a login over another owner's session.
    let bob = layer.open_session(ids(&layer, "bob").await[0]).await.unwrap().unwrap();
    bob.login("ada").unwrap();
    bob.save().await.unwrap();
    assert_eq!((ids(&layer, "ada").await.len(), ids(&layer, "bob").await.len()), (MOST, 0));
}

#[tokio::test]
async fn a_login_over_the_limit_is_refused() {
    let clock = clock();
    let layer = limited(MemoryStore::with_clock(clock.clone()), &clock, AtLimit::Refuse);
    for _ in 0..MOST {
        login(&layer, "ada").await.unwrap();
    }
    let before = ids(&layer, "ada").await;
    let cart = layer.new_session();
    cart.insert("cart", 7).unwrap();
    cart.save().await.unwrap();
    let id = cart.id();
    cart.login("ada").unwrap();
    let error = cart.save().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::TooManySessions, http::StatusCode::CONFLICT));
    assert!(!format!("{error} {error:?}").contains("ada"), "{error}");
    assert_eq!((cart.id(), ids(&layer, "ada").await), (id, before.clone()));
    assert_eq!(layer.sessions().get::<u8>(&id.unwrap(), "cart").await.unwrap(), Some(7), "as it was");
    // There is room again: the same session can retry, and counts once it is saved.
    assert!(layer.sessions().revoke_one("ada", &before[0]).await.unwrap());
    cart.save().await.unwrap();
    assert_eq!(ids(&layer, "ada").await.len(), MOST);
    assert_eq!(cart.get::<u8>("cart").unwrap(), Some(7));
    // One of the owner's sessions can log in again and keeps its data; if it has ended meanwhile, it is a new one.
    let ended = layer.open_session(before[1]).await.unwrap().unwrap();
    cart.login("ada").unwrap();
    cart.save().await.unwrap();
    assert_eq!((cart.get::<u8>("cart").unwrap(), ids(&layer, "ada").await.len()), (Some(7), MOST));
    assert!(layer.sessions().revoke_one("ada", &before[1]).await.unwrap());
    login(&layer, "ada").await.unwrap();
    ended.login("ada").unwrap();
    assert_eq!(ended.save().await.unwrap_err().kind(), ErrorKind::TooManySessions);
    assert_eq!(ids(&layer, "ada").await.len(), MOST);
    // Revoked and expired sessions take no place.
    layer.sessions().revoke_all("ada").await.unwrap();
    for _ in 0..MOST {
        login(&layer, "ada").await.unwrap();
    }
    clock.advance(Duration::from_secs(3_600));
    login(&layer, "ada").await.unwrap();
}

/// During concurrent logins, no observer ever sees more sessions than the limit.
async fn at_once(store: impl SessionStore + Clone, clock: Clock, at_limit: AtLimit) {
    let layer = limited(store, &clock, at_limit);
    let done = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn({
        let (layer, done) = (layer.clone(), Arc::clone(&done));
        async move {
            let mut most = 0;
            while !done.load(Ordering::SeqCst) {
                most = most.max(ids(&layer, "ada").await.len());
                tokio::task::yield_now().await;
            }
            most
        }
    });
    let mut logins = JoinSet::new();
    for _ in 0..40 {
        let layer = layer.clone();
        logins.spawn(async move { login(&layer, "ada").await.map_err(|error| error.kind()) });
    }
    let outcomes = logins.join_all().await;
    done.store(true, Ordering::SeqCst);
    assert!(watcher.await.unwrap() <= MOST);
    assert_eq!(ids(&layer, "ada").await.len(), MOST);
    let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    match at_limit {
        AtLimit::Refuse => {
            assert_eq!(admitted, MOST);
            assert!(
                outcomes
                    .iter()
                    .flat_map(|outcome| outcome.as_ref().err())
                    .all(|kind| *kind == ErrorKind::TooManySessions)
            );
        }
        _ => assert_eq!(admitted, 40, "{outcomes:?}"),
    }
}

const BOTH: [AtLimit; 2] = [AtLimit::Refuse, AtLimit::EndOldest];

fn memcached(server: &Memcached) -> MemcachedStore {
    let builder = MemcachedStore::builder().servers([server.address()]);
    builder.request_timeout(Duration::from_secs(10)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_logins_stay_within_the_limit_over_memory() {
    for at_limit in BOTH {
        let clock = clock();
        at_once(MemoryStore::with_clock(clock.clone()), clock, at_limit).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_logins_stay_within_the_limit_over_files() {
    for at_limit in BOTH {
        let clock = clock();
        let (_folder, store) = files(&clock).await;
        at_once(store, clock, at_limit).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_logins_stay_within_the_limit_over_memcached() {
    for at_limit in BOTH {
        let server = Memcached::start(&[]);
        at_once(memcached(&server), Clock::system(), at_limit).await;
    }
}

/// Two layers share nothing but the store, like two processes. Once all logins are answered, the limit holds.
async fn in_two_processes(store: impl SessionStore + Clone, clock: Clock, rounds: usize) {
    for round in 0..rounds {
        let at_limit = BOTH[round % 2];
        let owner = format!("owner {round}");
        let layers = [limited(store.clone(), &clock, at_limit), limited(store.clone(), &clock, at_limit)];
        let mut logins = JoinSet::new();
        for number in 0..10 {
            let (layer, owner) = (layers[number % 2].clone(), owner.clone());
            logins.spawn(async move { login(&layer, &owner).await.map_err(|error| error.kind()) });
        }
        let outcomes = logins.join_all().await;
        let live = ids(&layers[0], &owner).await.len();
        assert!(live <= MOST, "round {round}, {at_limit:?}: {live}, {outcomes:?}");
        if at_limit == AtLimit::EndOldest {
            assert_eq!(live, MOST, "round {round}: each was let in, and only the surplus was ended");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_in_two_processes_stay_within_the_limit_over_memory() {
    let clock = clock();
    in_two_processes(MemoryStore::with_clock(clock.clone()), clock, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_in_two_processes_stay_within_the_limit_over_files() {
    let clock = clock();
    let (_folder, store) = files(&clock).await;
    in_two_processes(store, clock, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_in_two_processes_stay_within_the_limit_over_memcached() {
    let server = Memcached::start(&[]);
    in_two_processes(memcached(&server), Clock::system(), 40).await;
}

/// Both were let in to the last place before either was stored.
#[tokio::test]
async fn two_logins_let_in_to_the_last_place_leave_one() {
    for at_limit in BOTH {
        let clock = clock();
        let below = MemoryStore::with_clock(clock.clone());
        let stores = [FaultStore::new(below.clone()), FaultStore::new(below.clone())];
        let plain = limited(below, &clock, at_limit);
        for _ in 1..MOST {
            login(&plain, "ada").await.unwrap();
            clock.advance(Duration::from_secs(1));
        }
        let mut logins = Vec::new();
        let mut gates = Vec::new();
        for store in &stores {
            let gate = store.pause(Operation::Create, Step::Before);
            let layer = limited(store.clone(), &clock, at_limit);
            logins.push(tokio::spawn(async move { login(&layer, "ada").await.map_err(|error| error.kind()) }));
            gate.reached().await;
            gates.push(gate);
        }
        let mut outcomes = Vec::new();
        for (gate, login) in gates.into_iter().zip(logins) {
            gate.release();
            outcomes.push(login.await.unwrap().map(|session| session.id().unwrap()));
        }
        let live = ids(&plain, "ada").await;
        assert_eq!(live.len(), MOST);
        let first = *outcomes[0].as_ref().unwrap();
        assert!(live.contains(&first), "{at_limit:?}");
        match at_limit {
            AtLimit::Refuse => assert_eq!(outcomes[1], Err(ErrorKind::TooManySessions)),
            _ => assert!(live.contains(outcomes[1].as_ref().unwrap())),
        }
    }
}

/// If the sessions can't be counted, or none can be ended, nobody is let in and nothing changes.
#[tokio::test]
async fn sessions_that_can_not_be_counted_are_an_error() {
    for at_limit in BOTH {
        let clock = clock();
        let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
        let layer = limited(store.clone(), &clock, at_limit);
        for _ in 0..MOST {
            login(&layer, "ada").await.unwrap();
        }
        let before = ids(&layer, "ada").await;
        let faults = [
            (Fault::error(StoreErrorKind::Unsupported).on(Operation::ListOwner), ErrorKind::Unsupported),
            (Fault::unavailable().on(Operation::ListOwner), ErrorKind::Unavailable),
            (Fault::unavailable().on(Operation::OwnerEpoch), ErrorKind::Unavailable),
        ];
        for (fault, kind) in faults {
            store.inject(fault);
            assert_eq!(login(&layer, "ada").await.unwrap_err().kind(), kind);
            // A save without a login is not affected.
            layer.new_session().save().await.unwrap();
            store.heal();
        }
        store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update));
        let kind = login(&layer, "ada").await.unwrap_err().kind();
        store.heal();
        assert_eq!(kind, if at_limit == AtLimit::Refuse { ErrorKind::TooManySessions } else { ErrorKind::Unavailable });
        assert_eq!(ids(&layer, "ada").await, before);
        // Counted before and not again afterwards: as far as this process knows, the login was within the limit.
        assert!(layer.sessions().revoke_one("ada", &before[0]).await.unwrap());
        store.inject(Fault::unavailable().on(Operation::ListOwner).nth(2));
        login(&layer, "ada").await.unwrap();
        store.heal();
        assert_eq!(ids(&layer, "ada").await.len(), MOST);
    }
}
