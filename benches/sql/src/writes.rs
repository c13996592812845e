//! Durable writes to SQLite, without HTTP.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use session_layer::{
    Durability, Lifetime, SessionId, SessionStore, SqlStore,
    id::{SessionToken, TokenCheck},
    record::{Entries, Record},
    store::{Update, Usage},
};
use tower_sessions::{
    SessionStore as _,
    session::{Id, Record as TheirRecord},
};
use tower_sessions_sqlx_store::{SqliteStore, sqlx as sqlx_08};

use bench_support::{measure::median, runtime};

const ROUND: Duration = Duration::from_millis(500);

pub(crate) fn compare(rounds: usize) {
    println!("durable writes a second to SQLite (WAL, synchronous=FULL), {rounds} rounds in turn; the medians");
    runtime::two_threads().block_on(async {
        for tasks in [1, 32] {
            let folder = tempfile::tempdir().unwrap();
            let own = Own::new(&folder, tasks).await;
            let theirs = Theirs::new(&folder, tasks).await;
            let (mut own_rates, mut their_rates) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                own_rates.push(rate(tasks, |task| own.clone().write(task)).await);
                their_rates.push(rate(tasks, |task| theirs.clone().write(task)).await);
            }
            let (own, theirs) = (median(own_rates), median(their_rates));
            println!(
                "  {tasks:>2} tasks: SqlStore {own:.0}, tower-sessions-sqlx-store {theirs:.0}: {:.1}x",
                own / theirs
            );
        }
    });
}

/// Returns the writes a second of tasks that each write their own session until the time is over.
async fn rate<F: Future<Output = u32> + Send + 'static>(tasks: usize, write: impl Fn(usize) -> F) -> f64 {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(write(task))).collect();
    let mut done = 0.0;
    for task in running {
        done += f64::from(task.await.unwrap());
    }
    done / start.elapsed().as_secs_f64()
}

fn random() -> u64 {
    SessionToken::generate().unwrap().identify("sid").0.as_uuid().as_u64_pair().0
}

#[derive(Clone)]
struct Own {
    store: SqlStore,
    record: Arc<Record>,
    ids: Arc<Vec<SessionId>>,
}

impl Own {
    async fn new(folder: &tempfile::TempDir, tasks: usize) -> Self {
        let path = folder.path().join(format!("own-{tasks}.db"));
        let builder = SqlStore::sqlite(path).durability(Durability::Full).sweep_interval(None);
        let store = builder.create().await.unwrap();
        let value = vec![b'x'; 640];
        let entries = Entries::from_sorted([("user", &value[..])].into_iter()).unwrap();
        let record = Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default());
        let record = Arc::new(record.with_entries(entries));
        let ids: Vec<_> = (0..tasks).map(|_| SessionToken::generate().unwrap().identify("sid").0).collect();
        for id in &ids {
            store.create(id, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
        }
        Self { store, record, ids: Arc::new(ids) }
    }

    async fn write(self, task: usize) -> u32 {
        let (start, id) = (Instant::now(), self.ids[task]);
        let mut version = self.store.load(&id).await.unwrap().unwrap().version;
        let mut done = 0;
        while start.elapsed() < ROUND {
            let usage = Usage::at(&self.record, SystemTime::now());
            match self.store.update(&id, &self.record, &version, usage).await.unwrap() {
                Update::Updated(next) => version = next,
                other => panic!("nobody else writes: {other:?}"),
            }
            done += 1;
        }
        done
    }
}

#[derive(Clone)]
struct Theirs {
    store: SqliteStore,
    records: Arc<Vec<TheirRecord>>,
}

impl Theirs {
    async fn new(folder: &tempfile::TempDir, tasks: usize) -> Self {
        use sqlx_08::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join(format!("theirs-{tasks}.db")))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        let store = SqliteStore::new(pool);
        store.migrate().await.unwrap();
        let mut records = Vec::new();
        for _ in 0..tasks {
            let data = [("user".to_owned(), serde_json::Value::from("x".repeat(640)))].into_iter().collect();
            let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::days(1);
            let mut record = TheirRecord { id: Id::default(), data, expiry_date };
            store.create(&mut record).await.unwrap();
            records.push(record);
        }
        Self { store, records: Arc::new(records) }
    }

    async fn write(self, task: usize) -> u32 {
        let (start, mut done) = (Instant::now(), 0);
        let mut record = self.records[task].clone();
        while start.elapsed() < ROUND {
            // SQLite writes nothing if the bytes haven't changed.
            record.data.insert("n".to_owned(), serde_json::Value::from(random()));
            self.store.save(&record).await.unwrap();
            done += 1;
        }
        done
    }
}
