//! What one application does to a server in trouble: sessions that nobody else writes, each with its expected state. It
//! says what it was acknowledged, so that whoever kills it can check that.

use std::{
    collections::{HashMap, HashSet},
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::{
    DynStore, SessionId, SessionStore,
    store::{Create, StoreError, StoreErrorKind, Stored, Update},
};

use crate::support::*;

/// What begins each line that an application writes, wherever the harness of tests has left the line.
const MARK: &str = "chaos: ";

/// Counts of calls, and the slowest.
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

/// One session, which nobody else writes, and its expected state.
struct Client {
    who: u64,
    id: SessionId,
    /// Whether it was created for sure.
    created: bool,
    /// A removal whose outcome is unknown.
    removing: bool,
    /// The last acknowledged number, and the last one that may have been written.
    acknowledged: u64,
    attempted: u64,
    /// Sessions whose removal was acknowledged.
    ended: Vec<SessionId>,
}

/// The value of a session of this client.
fn value_of(who: u64, n: u64) -> Vec<u8> {
    let mut bytes = [who.to_le_bytes(), n.to_le_bytes()].concat();
    bytes.resize(16 + usize::try_from(n % 3_000).unwrap(), u8::try_from(who % 251).unwrap());
    bytes
}

/// The number in a loaded value, all of whose bytes must be of one session of this client.
fn number_of(who: u64, value: &[u8]) -> u64 {
    let n = u64::from_le_bytes(value[8..16].try_into().unwrap());
    assert!(value == value_of(who, n), "session {who} was given another value");
    n
}

impl Client {
    fn new(who: u64) -> Self {
        Self { who, id: id(), created: false, removing: false, acknowledged: 0, attempted: 0, ended: Vec::new() }
    }

    fn read(&self, value: &[u8]) -> u64 {
        let n = number_of(self.who, value);
        assert!((self.acknowledged..=self.attempted).contains(&n), "{}: {n} after {}", self.who, self.acknowledged);
        n
    }

    fn wrote(&mut self, n: u64) {
        self.acknowledged = n;
        println!("{MARK}wrote {} {} {n}", self.who, self.id);
    }

    fn has_ended(&mut self) {
        println!("{MARK}ended {} {} 0", self.who, self.id);
        self.ended.push(self.id);
        self.begin_again();
    }

    fn begin_again(&mut self) {
        *self = Self { ended: std::mem::take(&mut self.ended), ..Self::new(self.who) };
    }

    /// One load and one write.
    async fn step(&mut self, store: &DynStore, seen: &Seen) {
        let Ok(held) = seen.time(store.load(&self.id)).await else { return };
        let Some(held) = held else {
            assert!(!self.created || self.removing, "session {} was lost", self.who);
            if self.removing {
                self.has_ended();
            }
            self.attempted = 1;
            let first = record(&value_of(self.who, 1));
            match seen.time(store.create(&self.id, &first, usage(&first))).await {
                Ok(Create::Created(_)) => {
                    self.created = true;
                    self.wrote(1);
                }
                Ok(Create::Exists) => panic!("a new id is taken"),
                // A server that was stopped may carry it out later. Ids are never used twice.
                Err(_) => self.begin_again(),
            }
            return;
        };
        self.created = true;
        let n = self.read(value(&held));
        self.acknowledged = n;
        if random().is_multiple_of(16) || self.removing {
            self.removing = true;
            println!("{MARK}removing {} {} 0", self.who, self.id);
            match seen.time(store.remove(&self.id)).await {
                Ok(true) => self.has_ended(),
                Ok(false) => panic!("session {} was removed by nobody", self.who),
                Err(_) => {}
            }
            return;
        }
        self.attempted = self.attempted.max(n + 1);
        let next = record(&value_of(self.who, n + 1));
        match seen.time(store.update(&self.id, &next, &held.version, usage(&next))).await {
            Ok(Update::Updated(_)) => self.wrote(n + 1),
            Ok(Update::Conflict(_)) => assert!(self.attempted > self.acknowledged, "a conflict with nobody"),
            Ok(Update::Gone) => panic!("session {} was removed by nobody", self.who),
            Err(_) => {}
        }
    }
}

/// The application: works on so many sessions until its input ends, and then checks them.
pub async fn application(url: &str, first: u64, clients: u64) {
    // The server may be down at this time.
    let start = Instant::now();
    let store = loop {
        match session_layer::connect(url).await {
            Ok(store) => break store,
            Err(error) => assert!(start.elapsed() < LIMIT, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (seen, stop) = (Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        until.store(true, Ordering::Relaxed);
    });
    let clients: Vec<_> = (first..first + clients)
        .map(|who| {
            let (store, seen, stop) = (store.clone(), Arc::clone(&seen), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut client = Client::new(who);
                while !stop.load(Ordering::Relaxed) {
                    client.step(&store, &seen).await;
                    // Leaves the server some processor time.
                    tokio::time::sleep(Duration::from_micros(random() % 2_000)).await;
                }
                client
            })
        })
        .collect();
    for client in clients {
        let client = client.await.unwrap();
        match store.load(&client.id).await.unwrap() {
            Some(held) => drop(client.read(value(&held))),
            None => assert!(!client.created || client.removing, "session {} was lost", client.who),
        }
        for id in &client.ended {
            assert!(store.load(id).await.unwrap().is_none(), "a removed session is back");
        }
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (errors, unknown) = (count(&seen.errors), count(&seen.unknown));
    println!("{MARK}seen {} {errors} {unknown} {}", count(&seen.answered), count(&seen.slowest_micros));
}

/// What an application has said.
#[derive(Default)]
pub struct Book {
    /// Client, and the last acknowledged number. `None` if it is being removed, and may be gone.
    written: HashMap<SessionId, (u64, Option<u64>)>,
    pub ended: HashSet<SessionId>,
    /// Calls that were answered, failed or have an unknown outcome; the slowest in microseconds. Once it has ended by
    /// itself.
    pub seen: Option<[u64; 4]>,
}

impl Book {
    /// Notes a line. The last line of an application that was killed can be cut: its number is then too small.
    pub fn note(&mut self, line: &str) {
        let Some((_, said)) = line.split_once(MARK) else { return };
        let words: Vec<_> = said.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        if words[0] == "seen" {
            self.seen = (|| Some([number(1)?, number(2)?, number(3)?, number(4)?]))();
            return;
        }
        let (Some(who), Some(Ok(id)), Some(n)) = (number(1), words.get(2).map(|id| id.parse()), number(3)) else {
            return;
        };
        match words[0] {
            "wrote" => drop(self.written.insert(id, (who, Some(n)))),
            "removing" => drop(self.written.insert(id, (who, None))),
            _ => {
                self.written.remove(&id);
                self.ended.insert(id);
            }
        }
    }

    /// Nothing that a killed application was acknowledged is lost. Returns how many sessions were checked.
    pub async fn check(&self, store: &DynStore) -> usize {
        for (id, (who, acknowledged)) in &self.written {
            let stored: Option<Stored> = store.load(id).await.expect("the server is back");
            let stored = stored.map(|stored| number_of(*who, value(&stored)));
            assert!(stored >= *acknowledged, "{who}: {stored:?} is older than {acknowledged:?}");
        }
        self.none_is_back(store).await;
        self.written.len() + self.ended.len()
    }

    pub async fn none_is_back(&self, store: &DynStore) {
        for id in &self.ended {
            assert!(store.load(id).await.expect("the server is back").is_none(), "a removed session is back");
        }
    }
}
