//! Three servers under load. One after another is killed, stopped, and started again empty.
//!
//! By default it runs briefly. For a long run that prints its observations:
//!
//! ```text
//! SESSION_LAYER_CHAOS_SECONDS=60 cargo test --release --test memcached chaos -- --nocapture
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::{
    MemcachedStore, SessionId, SessionStore,
    store::{Create, StoreError, StoreErrorKind, Update},
};

use crate::{server::Memcached, support::*};

/// The limit of one request. An unanswered write is read back within a second limit, and a busy machine may notice late
/// that a limit is over.
const LIMIT: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_millis(2 * 500 + 1_500);

#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    errors: AtomicU64,
    unknown: AtomicU64,
    lost: AtomicU64,
    slowest_micros: AtomicU64,
}

impl Seen {
    async fn time<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call.await;
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap();
        self.slowest_micros.fetch_max(micros, Ordering::Relaxed);
        let counter = match &result {
            Ok(_) => &self.answered,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => &self.unknown,
            Err(_) => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }
}

/// How often each server was started empty.
type Restarts = Arc<[AtomicU64; 3]>;

/// One session, and its expected state.
struct Client {
    who: u64,
    id: SessionId,
    server: usize,
    /// The last acknowledged number, and the last one that may have been written.
    acknowledged: u64,
    attempted: u64,
    /// The server's restarts when the session was created.
    restarts: u64,
}

impl Client {
    fn value(&self, n: u64) -> Vec<u8> {
        let mut bytes = [self.who.to_le_bytes(), n.to_le_bytes()].concat();
        bytes.resize(16 + usize::try_from(n % 3_000).unwrap(), u8::try_from(self.who % 251).unwrap());
        bytes
    }

    /// The number in a loaded value, all of whose bytes must be this session's.
    fn read(&self, value: &[u8]) -> u64 {
        let n = u64::from_le_bytes(value[8..16].try_into().unwrap());
        assert!(value == self.value(n), "session {} was given another value", self.who);
        assert!((self.acknowledged..=self.attempted).contains(&n), "{}: {n} after {}", self.who, self.acknowledged);
        n
    }

    /// One load and one update, or a create if a restart has lost the session.
    async fn step(&mut self, store: &MemcachedStore, seen: &Seen, restarts: &Restarts) {
        let before = restarts[self.server].load(Ordering::SeqCst);
        let Ok(held) = seen.time(store.load(&self.id)).await else { return };
        let Some(held) = held else {
            let now = restarts[self.server].load(Ordering::SeqCst);
            assert!(self.attempted == 0 || now > self.restarts, "session {} was lost on a server that lived", self.who);
            if self.attempted > 0 {
                seen.lost.fetch_add(1, Ordering::Relaxed);
            }
            // Ids are never used twice.
            (self.id, self.acknowledged, self.attempted) = (id_on(store, self.server), 0, 1);
            self.restarts = before;
            let first = record(&self.value(1));
            match seen.time(store.create(&self.id, &first, usage(&first))).await {
                Ok(Create::Created(_)) => self.acknowledged = 1,
                Ok(Create::Exists) => panic!("a new id is taken"),
                // A late create stores this session. If it is never done, the next load starts again.
                Err(_) => self.restarts = 0,
            }
            return;
        };
        let n = self.read(value(&held));
        self.acknowledged = n;
        self.attempted = self.attempted.max(n + 1);
        let next = record(&self.value(n + 1));
        match seen.time(store.update(&self.id, &next, &held.version, usage(&next))).await {
            Ok(Update::Updated(_)) => self.acknowledged = n + 1,
            Ok(Update::Conflict(_)) => assert!(self.attempted > self.acknowledged, "a conflict with nobody"),
            Ok(Update::Gone) | Err(_) => {}
        }
    }
}

async fn serves_within(store: &MemcachedStore, server: usize) -> Duration {
    let (start, id) = (Instant::now(), id_on(store, server));
    while store.load(&id).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "server {server} is back and does not serve");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_loses_no_session_of_a_live_server() {
    let seconds = std::env::var("SESSION_LAYER_CHAOS_SECONDS").map_or(8, |text| text.parse().expect("seconds"));
    let mut servers = Memcached::cluster(3);
    let store = builder(&servers).connect_timeout(LIMIT).request_timeout(LIMIT).build().unwrap();
    let (seen, stop) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
    let restarts: Restarts = Arc::new([const { AtomicU64::new(1) }; 3]);
    let mut clients = Vec::new();
    for who in 0..12_u64 {
        let (store, seen, stop, restarts) =
            (store.clone(), Arc::clone(&seen), Arc::clone(&stop), Arc::clone(&restarts));
        clients.push(tokio::spawn(async move {
            let server = usize::try_from(who % 3).unwrap();
            let id = id_on(&store, server);
            let mut client = Client { who, id, server, acknowledged: 0, attempted: 0, restarts: 0 };
            while !stop.load(Ordering::Relaxed) {
                client.step(&store, &seen, &restarts).await;
                // Leaves the servers some processor time.
                tokio::time::sleep(Duration::from_micros(random() % 2_000)).await;
            }
            client
        }));
    }
    let (start, mut turn, mut slowest_recovery) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        let victim = turn % 3;
        if turn % 2 == 0 {
            // Before the server ends: its sessions count as lost from then on.
            restarts[victim].fetch_add(1, Ordering::SeqCst);
            servers[victim].kill();
            tokio::time::sleep(Duration::from_millis(random() % 600)).await;
            servers[victim].restart();
            restarts[victim].fetch_add(1, Ordering::SeqCst);
        } else {
            servers[victim].stall();
            tokio::time::sleep(Duration::from_millis(100 + random() % 1_400)).await;
            servers[victim].resume();
        }
        slowest_recovery = slowest_recovery.max(serves_within(&store, victim).await);
        tokio::time::sleep(Duration::from_millis(random() % 500)).await;
        turn += 1;
    }
    for server in 0..3 {
        serves_within(&store, server).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let client = client.await.unwrap();
        if let Some(held) = store.load(&client.id).await.unwrap() {
            client.read(value(&held));
        }
    }
    let slowest = Duration::from_micros(seen.slowest_micros.load(Ordering::Relaxed));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    eprintln!(
        "chaos for {seconds} s, {turn} faults: {} calls answered, {} errors, {} outcomes unknown, {} sessions lost with \
         restarted servers; slowest call {slowest:?}, slowest recovery {slowest_recovery:?}; {:?}",
        count(&seen.answered),
        count(&seen.errors),
        count(&seen.unknown),
        count(&seen.lost),
        store.statistics()
    );
    assert!(count(&seen.answered) > 100 && turn > 2);
    assert!(slowest < AT_MOST, "a call took {slowest:?}");
}
