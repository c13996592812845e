//! All clients that are measured, behind one call.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_memcached::AsciiProtocol;
use mtop_client::{MemcachedClient, MemcachedClientConfig, RendezvousSelector, Server, ServerID, TcpClientFactory};
use session_layer::{
    Lifetime, MemcachedStore, SessionId, SessionStore,
    id::{SessionToken, TokenCheck},
    record::{Entries, Record},
    store::{Update, Usage},
};
use tokio::sync::Mutex;

use crate::bare::Bare;

/// How many keys each task uses.
const KEYS: usize = 64;
const TASKS: usize = 64;

/// The number of connections of each pool.
const POOL: usize = 16;

pub(crate) const NAMES: [&str; 7] = [
    "MemcachedStore, load, 2 connections",
    "MemcachedStore, update, 2 connections",
    "bare multiplexed client, 2 connections",
    "async-memcached 0.9, 16 connections",
    "async-memcached 0.9, a connection a task",
    "deadpool-memcached 0.5, pool of 16",
    "mtop-client 0.17, pool of 16",
];
pub(crate) const STORE: usize = 0;
pub(crate) const UPDATE: usize = 1;
pub(crate) const BARE: usize = 2;
pub(crate) const PUBLISHED: [usize; 4] = [3, 4, 5, 6];

pub(crate) struct Clients {
    store: MemcachedStore,
    bare: Vec<Bare>,
    plain: Vec<Mutex<async_memcached::Client>>,
    deadpool: deadpool_memcached::Pool,
    mtop: MemcachedClient,
    ids: Vec<SessionId>,
    keys: Vec<String>,
    record: Arc<Record>,
}

impl Clients {
    pub(crate) async fn connect(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let store = MemcachedStore::builder()
            .servers([address.clone()])
            .connections(2)
            .request_timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let value = vec![b'x'; 440];
        let entries = Entries::from_sorted([("user", &value[..])].into_iter()).unwrap();
        let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
        let record = Arc::new(record.with_entries(entries));
        let ids: Vec<_> = (0..TASKS * KEYS).map(|_| SessionToken::generate().unwrap().identify("sid").0).collect();
        for id in &ids {
            store.create(id, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
        }
        let mut plain = Vec::new();
        for _ in 0..TASKS {
            let client = async_memcached::Client::new(format!("tcp://{address}")).await.unwrap();
            plain.push(Mutex::new(client));
        }
        let pool = deadpool_memcached::Manager::new(format!("tcp://{address}"));
        let server = Server::without_name(ServerID::Socket(address.parse().unwrap()));
        let mtop = MemcachedClientConfig { pool_max_idle: POOL as u64, pool_name: "bench".to_owned() };
        Self {
            bare: vec![Bare::connect(port).await, Bare::connect(port).await],
            plain,
            deadpool: deadpool_memcached::Pool::builder(pool).max_size(POOL).build().unwrap(),
            mtop: MemcachedClient::new(
                mtop,
                tokio::runtime::Handle::current(),
                RendezvousSelector::new(vec![server]),
                TcpClientFactory,
            ),
            keys: ids.iter().map(|id| format!("session:{id}")).collect(),
            store,
            ids,
            record,
        }
    }

    /// Runs one operation of this client in this task.
    pub(crate) async fn operate(&self, client: usize, task: usize) {
        thread_local!(static TURN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
        let turn = TURN.with(|turn| turn.replace(turn.get().wrapping_add(1)));
        let at = task * KEYS + turn % KEYS;
        let key = &self.keys[at];
        let length = match client {
            STORE => self.store.load(&self.ids[at]).await.unwrap().unwrap().record.entries().as_bytes().len(),
            UPDATE => return self.update(&self.ids[at]).await,
            BARE => self.bare[at % 2].get(key).await.len(),
            3 => self.plain[task % POOL].lock().await.get(key).await.unwrap().unwrap().data.unwrap().len(),
            4 => self.plain[task].lock().await.get(key).await.unwrap().unwrap().data.unwrap().len(),
            5 => {
                let mut client = self.deadpool.get().await.unwrap();
                let value = pooled_memcached::AsciiProtocol::get(&mut *client, key).await.unwrap().unwrap();
                value.data.unwrap().len()
            }
            _ => self.mtop.get([key.clone()]).await.unwrap().values[key].data.len(),
        };
        assert!(length >= 440, "{length} bytes");
    }

    /// The last write wins if two workers update the same record. Only the round trip is measured.
    async fn update(&self, id: &SessionId) {
        thread_local!(static VERSIONS: std::cell::RefCell<std::collections::HashMap<SessionId, session_layer::store::Version>> =
            std::cell::RefCell::default());
        let version = VERSIONS.with(|versions| versions.borrow().get(id).copied());
        let version = match version {
            Some(version) => version,
            None => self.store.load(id).await.unwrap().unwrap().version,
        };
        let usage = Usage::at(&self.record, SystemTime::now());
        let updated = self.store.update(id, &self.record, &version, usage).await.unwrap();
        VERSIONS.with(|versions| match updated {
            Update::Updated(version) => versions.borrow_mut().insert(*id, version),
            Update::Conflict(_) | Update::Gone => versions.borrow_mut().remove(id),
        });
    }
}
