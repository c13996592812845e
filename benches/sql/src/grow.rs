//! Measures whether operations become slower with many rows.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use session_layer::{
    Lifetime, SessionId, SessionStore, SqlStore,
    id::{SessionToken, TokenCheck},
    record::{Entries, Record},
    store::{Update, Usage},
};

use bench_support::{measure::median, runtime};

use crate::{database::Place, subjects::Kind};

const ROUNDS: usize = 21;
const OPERATIONS: usize = 200;
/// The number of tasks that fill the table.
const FILLERS: usize = 32;

pub(crate) fn grow(most: usize, only: Option<Kind>, place: &Place) {
    println!("microseconds of a load and of an update by one task, and the ratio to the first line");
    for kind in [Kind::Own, Kind::OwnSqlite].into_iter().filter(|kind| only.is_none_or(|only| only == *kind)) {
        println!("{}", kind.name());
        runtime::two_threads().block_on(over(kind, &place.of(kind), most));
    }
}

async fn store(kind: Kind, place: &str) -> SqlStore {
    let builder = if kind.is_sqlite() {
        SqlStore::sqlite(place).durability(session_layer::Durability::None)
    } else {
        SqlStore::postgres_with(place.parse().unwrap(), 32)
    };
    builder.sweep_interval(None).create().await.unwrap()
}

fn record() -> Arc<Record> {
    let value = vec![b'x'; 640];
    let entries = Entries::from_sorted([("user", &value[..])].into_iter()).unwrap();
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

async fn over(kind: Kind, place: &str, most: usize) {
    let (store, record) = (store(kind, place).await, record());
    let mut ids: Vec<SessionId> = Vec::new();
    let mut first = None;
    for rows in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|rows| *rows <= most) {
        let fillers: Vec<_> = (0..FILLERS)
            .map(|at| {
                let (store, record) = (store.clone(), Arc::clone(&record));
                let missing = (rows - ids.len()) / FILLERS + usize::from(at < (rows - ids.len()) % FILLERS);
                tokio::spawn(async move {
                    let mut made = Vec::with_capacity(missing);
                    for _ in 0..missing {
                        let id = SessionToken::generate().unwrap().identify("sid").0;
                        store.create(&id, &record, Usage::at(&record, SystemTime::now())).await.unwrap();
                        made.push(id);
                    }
                    made
                })
            })
            .collect();
        for filler in fillers {
            ids.extend(filler.await.unwrap());
        }
        let some = |round: usize| -> Vec<SessionId> {
            let step = ids.len() / OPERATIONS;
            (0..OPERATIONS).map(|at| ids[(at * step + round * 7) % ids.len()]).collect()
        };
        let (mut loads, mut updates) = (Vec::new(), Vec::new());
        // The loads come first, since each update empties SQLite's page caches for them. The first round is not counted.
        for round in 0..=ROUNDS {
            let some = some(round);
            let start = Instant::now();
            for id in &some {
                store.load(id).await.unwrap().unwrap();
            }
            if round > 0 {
                loads.push(start.elapsed().as_secs_f64() * 1e6 / OPERATIONS as f64);
            }
        }
        for round in 0..=ROUNDS {
            let some = some(round);
            let mut versions = Vec::with_capacity(OPERATIONS);
            for id in &some {
                versions.push(store.load(id).await.unwrap().unwrap().version);
            }
            let start = Instant::now();
            for (id, version) in some.iter().zip(&versions) {
                let usage = Usage::at(&record, SystemTime::now());
                assert!(matches!(store.update(id, &record, version, usage).await.unwrap(), Update::Updated(_)));
            }
            if round > 0 {
                updates.push(start.elapsed().as_secs_f64() * 1e6 / OPERATIONS as f64);
            }
        }
        let (load, update) = (median(loads), median(updates));
        let (of_load, of_update) = *first.get_or_insert((load, update));
        println!(
            "  {rows:>9} rows  load {load:>7.0}  {:.2}x   update {update:>7.0}  {:.2}x",
            load / of_load,
            update / of_update
        );
    }
}
