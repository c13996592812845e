//! The store and the bare connection, on the same sessions.

use std::{sync::Arc, time::SystemTime};

use bench_support::{content::Content, shape::Shape};
use serde_json::to_vec;
use session_layer::{
    Lifetime, RedisStore, SessionId, SessionStore,
    id::{SessionToken, TokenCheck},
    record::{Entries, Owner, Record},
    store::{Create, Stored, Update, Usage, Version},
};
use tokio::sync::Mutex;

use super::{
    Kind,
    bare::{Bare, Template},
    tap::{Tap, Words},
};
use crate::subject::store;

/// The number of sessions of each kind that a task cycles through.
const SESSIONS: usize = 8;

/// A session, and the commands that the store sends for it.
#[derive(Debug)]
struct Session {
    id: SessionId,
    key: Vec<u8>,
    load: Template,
    /// The stored version, and the bare connection's commands for an update. Used by only one task.
    version: Mutex<Version>,
    update: Mutex<Template>,
}

#[derive(Debug)]
pub(super) struct Clients {
    store: RedisStore,
    bare: Bare,
    record: Arc<Record>,
    loaded: Vec<Session>,
    owned: Vec<Session>,
    /// The bare connection has its own sessions, so that neither causes conflicts for the other.
    updated: Vec<Session>,
    bare_updated: Vec<Session>,
}

impl Clients {
    /// Connects, and creates sessions for this many tasks.
    pub(super) async fn connect(port: u16, connections: Option<usize>, tasks: usize) -> Self {
        let record = reference();
        let tap = Tap::before(port).await;
        let tapped = store(tap.port(), Some(1));
        let epoch = tapped.ensure_epoch("ada", usage(&record)).await.expect("an epoch");
        let owner = Owner::new("ada", epoch).expect("a good name");
        let owned = Arc::new((*record).clone().with_owner(Some(owner)));
        let several = async |record: &Arc<Record>| {
            let mut sessions = Vec::new();
            for _ in 0..tasks * SESSIONS {
                sessions.push(Session::create(&tapped, &tap, record).await);
            }
            sessions
        };
        Self {
            store: store(port, connections),
            bare: Bare::connect(port).await,
            loaded: several(&record).await,
            owned: several(&owned).await,
            updated: several(&record).await,
            bare_updated: several(&record).await,
            record,
        }
    }

    /// Runs one operation of this task.
    pub(super) async fn operate(&self, kind: Kind, task: usize, turn: usize) {
        let at = task * SESSIONS + turn % SESSIONS;
        let bytes = match kind {
            Kind::Load => loaded(&self.store, &self.loaded[at].id).await.record.entries().as_bytes().len(),
            Kind::OwnedLoad => loaded(&self.store, &self.owned[at].id).await.record.entries().as_bytes().len(),
            Kind::BareLoad => self.bare.read(&self.loaded[at].load).await,
            Kind::BareOwnedLoad => self.bare.read(&self.owned[at].load).await,
            Kind::BareGet => self.bare.get(&self.loaded[at].key).await,
            Kind::Update => {
                let session = &self.updated[at];
                let mut version = session.version.lock().await;
                *version = updated(&self.store, &session.id, &self.record, &version).await;
                return;
            }
            Kind::BareUpdate => {
                let mut template = self.bare_updated[at].update.lock().await;
                template.advance();
                return self.bare.update(&template).await;
            }
        };
        assert!(bytes >= 600, "{bytes} bytes");
    }
}

impl Session {
    /// Creates a session, and records what the store sends for it.
    async fn create(store: &RedisStore, tap: &Tap, record: &Arc<Record>) -> Self {
        let id = SessionToken::generate().expect("random numbers").identify("sid").0;
        let created = store.create(&id, record, usage(record)).await.expect("it is stored");
        let Create::Created(first) = created else { panic!("a new id is taken") };
        // Recorded once the server has the scripts, and the store has seen the session.
        let first = updated(store, &id, record, &first).await;
        loaded(store, &id).await;
        tap.commands();
        let second = updated(store, &id, record, &first).await;
        let update = Template::of_update(of(&id, tap.commands()), &nonce(&first), &nonce(&second));
        loaded(store, &id).await;
        let load = Template::of_read(of(&id, tap.commands()));
        Self { id, key: load.key(&id.to_string()), load, version: Mutex::new(second), update: Mutex::new(update) }
    }
}

/// The reference session.
fn reference() -> Arc<Record> {
    let content = Content::of(Shape::Reference);
    // In the order of the keys.
    let values = [to_vec(&content.cart), to_vec(&content.csrf), to_vec(&0), to_vec(&content.user)];
    let values = values.map(|value| value.expect("it can be JSON"));
    let entries = ["cart", "csrf", "n", "user"].into_iter().zip(values.iter().map(|value| &value[..]));
    let entries = Entries::from_sorted(entries).expect("sorted");
    let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
    Arc::new(record.with_entries(entries))
}

fn usage(record: &Record) -> Usage {
    Usage::at(record, SystemTime::now())
}

async fn loaded(store: &RedisStore, id: &SessionId) -> Stored {
    store.load(id).await.expect("the server answers").expect("it is stored")
}

async fn updated(store: &RedisStore, id: &SessionId, record: &Arc<Record>, version: &Version) -> Version {
    match store.update(id, record, version, usage(record)).await.expect("it is stored") {
        Update::Updated(version) => version,
        other => panic!("{other:?}"),
    }
}

/// The random bytes that are new with each write.
fn nonce(version: &Version) -> [u8; 16] {
    *version.as_bytes().first_chunk().expect("a version begins with the nonce")
}

/// The commands that name this session, which excludes the handshake.
fn of(id: &SessionId, mut commands: Vec<Words>) -> Vec<Words> {
    let id = id.to_string();
    let names = |word: &Vec<u8>| word.windows(id.len()).any(|part| part == id.as_bytes());
    commands.retain(|words| words.iter().any(names));
    commands
}
