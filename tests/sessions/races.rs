//! Revocation during slow writes of other requests.

use std::{collections::BTreeSet, sync::Arc};

use session_layer::{
    Clock, MemcachedStore, MemoryStore, Session, SessionId, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, FaultStore, Step},
    },
};
use tokio::{sync::Barrier, task::JoinHandle};

use crate::{
    memcached::Memcached,
    support::{clock, files, layer, member},
};

const EACH: usize = 6;

/// A site with its own store handle, so that only the store is shared, as between processes.
struct Round<S> {
    store: FaultStore<S>,
    layer: SessionLayer,
    owner: String,
    ids: Vec<SessionId>,
}

impl<S: SessionStore + Clone> Round<S> {
    async fn new(store: &S, clock: &Clock, number: usize) -> Self {
        let store = FaultStore::new(store.clone());
        let layer = layer(store.clone(), clock);
        let owner = format!("owner {number}");
        let mut ids = Vec::new();
        for _ in 0..EACH {
            ids.push(member(&layer, &owner).await);
        }
        Self { store, layer, owner, ids }
    }

    /// Starts slow writes of every other session: some of an entry, some of a new token.
    async fn writing(&self, number: usize) -> (Vec<(Session, JoinHandle<()>)>, impl FnOnce()) {
        let (fault, gate) = Fault::pause();
        let fault = fault.on(Operation::Update).on(Operation::Rename);
        // Before the store has carried out the write, or after.
        let fault = if number.is_multiple_of(2) { fault } else { fault.afterwards() };
        self.store.inject(fault);
        let mut writes = Vec::new();
        for (index, id) in self.ids.iter().enumerate().skip(1).step_by(2) {
            let session = self.layer.open_session(*id).await.unwrap().expect("it is live");
            if (number + index) % 4 == 1 {
                session.renew().unwrap();
            }
            session.insert("n", 2).unwrap();
            let saved = session.clone();
            // Either outcome is fine.
            writes.push((session, tokio::spawn(async move { drop(saved.save().await) })));
        }
        gate.reached().await;
        (writes, move || gate.release())
    }

    /// Counts the owner's live sessions, under their ids and under the ids that a renewal gave them. (A renewal that
    /// finds its session gone puts its request's changes into a fresh session without an owner.)
    async fn live(&self, writes: &[(Session, JoinHandle<()>)]) -> usize {
        let new = writes.iter().filter_map(|(session, _)| session.id());
        let ids: BTreeSet<_> = self.ids.iter().copied().chain(new).collect();
        let mut live = 0;
        for id in ids {
            if let Some(session) = self.layer.open_session(id).await.unwrap() {
                live += usize::from(session.owner().is_some());
            }
        }
        live
    }
}

async fn revocation(store: impl SessionStore + Clone, clock: Clock, rounds: usize) {
    for number in 0..rounds {
        let round = Round::new(&store, &clock, number).await;
        let (mut writes, release) = round.writing(number).await;
        let sessions = round.layer.sessions();
        // The writes continue before, during or after the revocation.
        match number % 3 {
            0 => {
                sessions.revoke_all(&round.owner).await.unwrap();
                release();
            }
            1 => {
                release();
                sessions.revoke_all(&round.owner).await.unwrap();
            }
            _ => {
                let owner = round.owner.clone();
                let revoke = tokio::spawn(async move { sessions.revoke_all(&owner).await });
                for _ in 0..number % 7 {
                    tokio::task::yield_now().await;
                }
                release();
                revoke.await.unwrap().unwrap();
            }
        }
        for (_, write) in &mut writes {
            write.await.unwrap();
        }
        assert_eq!(round.live(&writes).await, 0, "round {number}: a session lives on");
        match round.layer.sessions().of_owner(&round.owner).await {
            Ok(list) => assert!(list.is_empty(), "round {number}: {list:?}"),
            Err(error) => panic!("round {number}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_beside_slow_writes_ends_all_over_memory() {
    let clock = clock();
    revocation(MemoryStore::with_clock(clock.clone()), clock, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_beside_slow_writes_ends_all_over_files() {
    let clock = clock();
    let (_folder, store) = files(&clock).await;
    revocation(store, clock, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_beside_slow_writes_ends_all_over_memcached() {
    let server = Memcached::start(&[]);
    let store = MemcachedStore::builder().servers([server.address()]).build().unwrap();
    revocation(store, Clock::system(), 1_000).await;
}

/// All others end. The kept session stays alive, with every write that was acknowledged to its own requests.
async fn revocation_of_others(store: impl SessionStore + Clone, clock: Clock, rounds: usize) {
    for number in 0..rounds {
        let round = Round::new(&store, &clock, number).await;
        let keep = round.ids[0];
        let (mut writes, release) = round.writing(number).await;
        // From another process, in which no writes are held back.
        let elsewhere = layer(store.clone(), &clock).sessions();
        let saves = tokio::spawn(async move {
            let mut saved = 1;
            for _ in 0..5 {
                saved += u64::from(elsewhere.update(&keep, "n", |n: &mut u64| *n += 1).await.unwrap().is_some());
            }
            saved
        });
        release();
        assert!(round.layer.sessions().revoke_others(&round.owner, &keep).await.unwrap());
        let saved = saves.await.unwrap();
        for (_, write) in &mut writes {
            write.await.unwrap();
        }
        assert_eq!(round.live(&writes).await, 1, "round {number}");
        assert_eq!(round.layer.sessions().get::<u64>(&keep, "n").await.unwrap(), Some(saved), "round {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_others_beside_slow_writes_keeps_one_over_memory() {
    let clock = clock();
    revocation_of_others(MemoryStore::with_clock(clock.clone()), clock, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_others_beside_slow_writes_keeps_one_over_files() {
    let clock = clock();
    let (_folder, store) = files(&clock).await;
    revocation_of_others(store, clock, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_others_beside_slow_writes_keeps_one_over_memcached() {
    let server = Memcached::start(&[]);
    let store = MemcachedStore::builder().servers([server.address()]).build().unwrap();
    revocation_of_others(store, Clock::system(), 300).await;
}

/// A session that was ended stays ended, under its id and under the id of a renewal under way. If the answer says that
/// it was not found, its renewal came first. No other session ends.
async fn revocation_of_one(store: impl SessionStore + Clone, clock: Clock, rounds: usize) {
    let mut renewed_some = 0;
    for number in 0..rounds {
        let round = Round::new(&store, &clock, number).await;
        let (mut writes, release) = round.writing(number).await;
        let targets: Vec<_> = round.ids.iter().copied().skip(1).step_by(2).collect();
        let sessions = layer(store.clone(), &clock).sessions();
        let owner = round.owner.clone();
        let mut release = Some(release);
        // The writes continue before, after or beside the revocations.
        if number % 3 == 0
            && let Some(release) = release.take()
        {
            release();
        }
        let revoking = tokio::spawn(async move {
            let mut ended = Vec::new();
            for id in targets {
                ended.push((id, sessions.revoke_one(&owner, &id).await.unwrap()));
            }
            ended
        });
        let ended = if number % 3 == 1 {
            let ended = revoking.await.unwrap();
            release.take().into_iter().for_each(|release| release());
            ended
        } else {
            for _ in 0..number % 7 {
                tokio::task::yield_now().await;
            }
            release.take().into_iter().for_each(|release| release());
            revoking.await.unwrap()
        };
        for (_, write) in &mut writes {
            write.await.unwrap();
        }
        for ((id, was_ended), (session, _)) in ended.iter().zip(&writes) {
            let case = format!("round {number}: {id} {was_ended}, now {:?}", session.id());
            assert!(round.layer.open_session(*id).await.unwrap().is_none(), "{case}");
            let new = match session.id() {
                Some(id) => round.layer.open_session(id).await.unwrap(),
                None => None,
            };
            // The session is ended under the id that a renewal has given it.
            assert!(was_ended, "{case}");
            assert!(new.is_none_or(|session| session.owner().is_none()), "{case}");
            renewed_some += usize::from(session.id() != Some(*id));
        }
        assert_eq!(round.live(&writes).await, EACH / 2, "round {number}");
    }
    assert!(renewed_some > 0, "some were renewed before they were ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_one_beside_slow_writes_ends_it_over_memory() {
    let clock = clock();
    revocation_of_one(MemoryStore::with_clock(clock.clone()), clock, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_one_beside_slow_writes_ends_it_over_files() {
    let clock = clock();
    let (_folder, store) = files(&clock).await;
    revocation_of_one(store, clock, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_one_beside_slow_writes_ends_it_over_memcached() {
    let server = Memcached::start(&[]);
    let store = MemcachedStore::builder().servers([server.address()]).build().unwrap();
    revocation_of_one(store, Clock::system(), 300).await;
}

/// Another process's `revoke_others` does not undo a `revoke`, and of two that each keep another session at most one
/// lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_revocations_of_one_owner_do_not_undo_each_other() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    for number in 0..1_000 {
        let round = Round::new(&store, &clock, number).await;
        let (a, b) = (layer(store.clone(), &clock).sessions(), layer(store.clone(), &clock).sessions());
        let barrier = Arc::new(Barrier::new(2));
        let (keep, other) = (round.ids[0], round.ids[1]);
        let first = tokio::spawn({
            let (barrier, owner) = (Arc::clone(&barrier), round.owner.clone());
            async move {
                barrier.wait().await;
                a.revoke_others(&owner, &keep).await.unwrap();
            }
        });
        let owner = round.owner.clone();
        barrier.wait().await;
        let most = if number % 2 == 0 {
            b.revoke_all(&owner).await.unwrap();
            0
        } else {
            b.revoke_others(&owner, &other).await.unwrap();
            1
        };
        first.await.unwrap();
        assert!(round.live(&[]).await <= most, "round {number}");
    }
}

/// The narrowest case: all are revoked after another process has found the session to keep, and before it carries it
/// over.
#[tokio::test]
async fn a_revocation_is_not_undone_by_a_concurrent_revoke_others() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let (keeping, ending) = (FaultStore::new(store.clone()), FaultStore::new(store.clone()));
    let keep = member(&layer(store.clone(), &clock), "ada").await;
    let at_renewal = keeping.pause(Operation::RenewEpoch, Step::Before);
    let (fault, at_removal) = Fault::pause();
    // The second listing comes after the epoch's renewal.
    ending.inject(fault.on(Operation::ListOwner).nth(2));
    let others = layer(keeping, &clock).sessions();
    let others = tokio::spawn(async move { others.revoke_others("ada", &keep).await });
    at_renewal.reached().await;
    let all = layer(ending, &clock).sessions();
    let all = tokio::spawn(async move { all.revoke_all("ada").await });
    at_removal.reached().await;
    at_renewal.release();
    assert!(others.await.unwrap().unwrap());
    at_removal.release();
    assert_eq!(all.await.unwrap().unwrap(), 1);
    assert!(!layer(store, &clock).sessions().contains(&keep).await.unwrap());
}
