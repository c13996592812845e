//! A server under load that is killed and restarted, stopped, locked and made read-only, and whose connections are
//! ended.
//!
//! Short by default. For a long run that prints its counts:
//!
//! ```text
//! SESSION_LAYER_CHAOS_SECONDS=60 cargo test --release --test sql chaos -- --nocapture
//! ```

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::{
    DynStore, SessionId, SessionStore,
    store::{Create, StoreError, StoreErrorKind, Update},
};

use crate::{
    server::{Product, Server},
    support::*,
};

/// The time limit of one request. Reading back an unanswered write takes up to the same time again, and a busy machine
/// may notice late that a limit has passed.
const LIMIT: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_millis(2 * 500 + 3_000);

#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    errors: AtomicU64,
    unknown: AtomicU64,
    slowest_micros: AtomicU64,
}

impl Seen {
    async fn time<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call.await;
        self.slowest_micros.fetch_max(u64::try_from(start.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
        let counter = match &result {
            Ok(_) => &self.answered,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => &self.unknown,
            Err(error) => {
                let expected = [StoreErrorKind::Unavailable, StoreErrorKind::Timeout];
                assert!(expected.contains(&error.kind()), "{error:?}: {:?}", std::error::Error::source(error));
                &self.errors
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }
}

/// A session that no other client writes, and its expected state.
struct Client {
    who: u64,
    id: SessionId,
    /// Whether it is known to have been created.
    created: bool,
    /// Whether a removal with an unknown outcome is pending.
    removing: bool,
    /// The last acknowledged number, and the last one that may have been written.
    acknowledged: u64,
    attempted: u64,
    /// Sessions whose removal was acknowledged.
    ended: Vec<SessionId>,
}

impl Client {
    fn new(who: u64) -> Self {
        Self { who, id: id(), created: false, removing: false, acknowledged: 0, attempted: 0, ended: Vec::new() }
    }

    fn value(&self, n: u64) -> Vec<u8> {
        let mut bytes = [self.who.to_le_bytes(), n.to_le_bytes()].concat();
        bytes.resize(16 + usize::try_from(n % 3_000).unwrap(), u8::try_from(self.who % 251).unwrap());
        bytes
    }

    /// Returns the number in a loaded value. Panics if any of its bytes is another session's.
    fn read(&self, value: &[u8]) -> u64 {
        let n = u64::from_le_bytes(value[8..16].try_into().unwrap());
        assert!(value == self.value(n), "session {} was given another value", self.who);
        assert!((self.acknowledged..=self.attempted).contains(&n), "{}: {n} after {}", self.who, self.acknowledged);
        n
    }

    fn begin_again(&mut self) {
        *self = Self { ended: std::mem::take(&mut self.ended), ..Self::new(self.who) };
    }

    /// Makes one load and one write.
    async fn step(&mut self, store: &DynStore, seen: &Seen) {
        let Ok(held) = seen.time(store.load(&self.id)).await else { return };
        let Some(held) = held else {
            assert!(!self.created || self.removing, "session {} was lost", self.who);
            if self.removing {
                self.ended.push(self.id);
                self.begin_again();
            }
            self.attempted = 1;
            let first = record(&self.value(1));
            match seen.time(store.create(&self.id, &first, usage(&first))).await {
                Ok(Create::Created(_)) => (self.created, self.acknowledged) = (true, 1),
                Ok(Create::Exists) => panic!("a new id is taken"),
                // A stopped server may execute it later. Ids are never used twice, so that does no harm.
                Err(_) => self.begin_again(),
            }
            return;
        };
        self.created = true;
        let n = self.read(value(&held));
        self.acknowledged = n;
        if random().is_multiple_of(16) || self.removing {
            self.removing = true;
            match seen.time(store.remove(&self.id)).await {
                Ok(true) => {
                    self.ended.push(self.id);
                    self.begin_again();
                }
                Ok(false) => panic!("session {} was removed by nobody", self.who),
                Err(_) => {}
            }
            return;
        }
        self.attempted = self.attempted.max(n + 1);
        let next = record(&self.value(n + 1));
        match seen.time(store.update(&self.id, &next, &held.version, usage(&next))).await {
            Ok(Update::Updated(_)) => self.acknowledged = n + 1,
            Ok(Update::Conflict(_)) => assert!(self.attempted > self.acknowledged, "a conflict with nobody"),
            Ok(Update::Gone) => panic!("session {} was removed by nobody", self.who),
            Err(_) => {}
        }
    }
}

async fn writes_within(store: &DynStore) -> Duration {
    let (start, mut slowest) = (Instant::now(), None);
    while slowest.is_none() {
        let (id, first) = (id(), record(b"1"));
        match store.create(&id, &first, usage(&first)).await {
            Ok(_) => slowest = Some(start.elapsed()),
            Err(error) => {
                assert!(start.elapsed() < Duration::from_secs(20), "the server is back and does not serve: {error:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    slowest.expect("it was set")
}

/// Holds a lock on the whole table for a while.
async fn lock(server: &Server, database: &str, time: Duration) {
    let seconds = time.as_secs_f64();
    let (option, text) = match server.product() {
        Product::Postgres => {
            ("-c", format!("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT"))
        }
        Product::MariaDb => ("-e", format!("LOCK TABLES sessions WRITE; SELECT SLEEP({seconds}); UNLOCK TABLES")),
    };
    let mut client = server.client(database);
    let mut child = client.args([option, &text]).stdout(Stdio::null()).spawn().expect("a client");
    tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ends");
}

/// Ends all connections of the database.
fn end_connections(server: &Server, database: &str) {
    match server.product() {
        Product::Postgres => drop(server.sql(
            database,
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> \
                 pg_backend_pid()"
            ),
        )),
        Product::MariaDb => {
            let ids = server.sql(
                database,
                "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'tests'",
            );
            for id in ids.lines() {
                // The connection may have ended already.
                let _ = server.try_sql(database, &format!("KILL {id}"));
            }
        }
    }
}

/// Switches the database between read-only and writable, like a primary that becomes a replica, and ends its
/// connections.
fn set_read_only(server: &Server, database: &str, on: bool) {
    let word = if on { "on" } else { "off" };
    match server.product() {
        // Run from another database, where the setting has no effect.
        Product::Postgres => drop(
            server.sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = {word}")),
        ),
        Product::MariaDb => drop(server.sql(database, &format!("SET GLOBAL read_only = {word}"))),
    }
    end_connections(server, database);
}

async fn chaos(product: Product) {
    let seconds = std::env::var("SESSION_LAYER_CHAOS_SECONDS").map_or(10, |text| text.parse().expect("seconds"));
    let mut server = Server::start(product, &[]);
    let database = server.database();
    // A separate user, since a superuser may write to a read-only MariaDB.
    let user = crate::server::fresh_name("app");
    match product {
        Product::Postgres => {
            server.sql(&database, &format!("CREATE ROLE {user} LOGIN; GRANT ALL ON SCHEMA public TO {user}"));
        }
        Product::MariaDb => {
            server.sql(&database, &format!("CREATE USER {user}@'%'; GRANT ALL ON {database}.* TO {user}@'%'"));
        }
    }
    let limit = LIMIT.as_millis();
    let url = server.url_as(&user, &database);
    let url = format!("{url}?create=yes&connections=6&timeout_ms={limit}");
    let store = open(&url).await;
    let (seen, stop) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..12_u64)
        .map(|who| {
            let (store, seen, stop) = (store.clone(), Arc::clone(&seen), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut client = Client::new(who);
                while !stop.load(Ordering::Relaxed) {
                    client.step(&store, &seen).await;
                    // Leave the server some processor time.
                    tokio::time::sleep(Duration::from_micros(random() % 2_000)).await;
                }
                client
            })
        })
        .collect();
    let (start, mut faults, mut slowest_recovery) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) || faults < 6 {
        let pause = Duration::from_millis(random() % 600);
        match faults % 6 {
            0 => {
                server.kill();
                tokio::time::sleep(pause).await;
                server.restart();
            }
            1 => {
                server.stop();
                tokio::time::sleep(pause + LIMIT).await;
                server.resume();
            }
            2 => end_connections(&server, &database),
            3 => lock(&server, &database, pause + LIMIT).await,
            4 => {
                set_read_only(&server, &database, true);
                tokio::time::sleep(pause).await;
                set_read_only(&server, &database, false);
            }
            _ => {
                server.shut_down();
                tokio::time::sleep(pause).await;
                server.restart();
            }
        }
        slowest_recovery = slowest_recovery.max(writes_within(&store).await);
        tokio::time::sleep(Duration::from_millis(random() % 300)).await;
        faults += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let mut ended = 0;
    for client in clients {
        let client = client.await.unwrap();
        match store.load(&client.id).await.unwrap() {
            Some(held) => drop(client.read(value(&held))),
            None => assert!(!client.created || client.removing, "session {} was lost", client.who),
        }
        for id in &client.ended {
            assert!(store.load(id).await.unwrap().is_none(), "a removed session is back");
            ended += 1;
        }
    }
    let slowest = Duration::from_micros(seen.slowest_micros.load(Ordering::Relaxed));
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    eprintln!(
        "{product:?}: {faults} faults: {} calls answered, {} errors, {} outcomes unknown, {ended} sessions removed; \
         slowest call {slowest:?}, slowest recovery {slowest_recovery:?}",
        count(&seen.answered),
        count(&seen.errors),
        count(&seen.unknown),
    );
    assert!(count(&seen.answered) > 100 && ended > 0);
    assert!(slowest < AT_MOST, "a call took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_loses_nothing_on_postgres() {
    chaos(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_loses_nothing_on_mariadb() {
    chaos(Product::MariaDb).await;
}
