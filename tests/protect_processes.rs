//! Two processes, each with a validating cache over one shared store. A change or removal acknowledged to one is
//! visible to the other at its very next load. Starts itself as the two processes.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout, clippy::unwrap_used, reason = "the parts of a test")]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::SystemTime,
};

use session_layer::{
    CachedStore, DynStore, EncryptedStore, FileStore, KeyRing, Lifetime, MemcachedStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Record},
    store::Usage,
};

#[cfg(unix)]
#[path = "support/memcached.rs"]
#[allow(dead_code, reason = "shared with the memcached store's tests")]
mod server;

const STORE: &str = "SESSION_LAYER_TEST_STORE";
const SECRET: &str = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=";
const ROUNDS: usize = 100;

fn main() {
    if let Ok(store) = std::env::var(STORE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(child(&store));
    }
    let directory = tempfile::tempdir().unwrap();
    over(&format!("file {}", directory.path().display()));
    #[cfg(unix)]
    {
        let memcached = server::Memcached::start(&[]);
        over(&format!("memcached {}", memcached.address()));
    }
}

/// One process: loads and writes on command, through a cache and the sealing, in either order.
async fn child(store: &str) {
    let (kind, place) = store.split_once(' ').unwrap();
    let (kind, order) = kind.split_once('/').unwrap();
    let store = match kind {
        "file" => DynStore::new(FileStore::open(place).await.unwrap()),
        _ => DynStore::new(MemcachedStore::builder().servers([place]).build().unwrap()),
    };
    let ring = KeyRing::from_lines(SECRET).unwrap();
    let store = match order {
        "cached-sealed" => DynStore::new(CachedStore::new(EncryptedStore::new(store, ring))),
        _ => DynStore::new(EncryptedStore::new(CachedStore::new(store), ring)),
    };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        let (command, id) = (words.next().unwrap(), SessionId::for_epoch(words.next().unwrap()));
        let record = |text: &str| {
            let entries = Entries::from_sorted([("text", text.as_bytes())].into_iter()).unwrap();
            Arc::new(
                Record::session(TokenCheck::from_bytes([0; 16]), SystemTime::now(), Lifetime::default())
                    .with_entries(entries),
            )
        };
        let answer = match command {
            "create" => {
                let record = record(words.next().unwrap());
                format!("{:?}", store.create(&id, &record, Usage::at(&record, SystemTime::now())).await.is_ok())
            }
            "load" => match store.load(&id).await.unwrap() {
                Some(stored) => String::from_utf8(stored.record.entries().get("text").unwrap().to_vec()).unwrap(),
                None => "absent".to_owned(),
            },
            "update" => {
                let stored = store.load(&id).await.unwrap().unwrap();
                let updated = store.update(&id, &record(words.next().unwrap()), &stored.version, stored.usage()).await;
                format!("{:?}", updated.is_ok())
            }
            _ => format!("{:?}", store.remove(&id).await.unwrap()),
        };
        println!("{answer}");
    }
}

struct Process {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(store: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child =
            command.env(STORE, store).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this test again");
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, commands, answers }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        self.answers.next().expect("the process has ended").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn over(store: &str) {
    let (kind, place) = store.split_once(' ').unwrap();
    for order in ["cached-sealed", "sealed-cached"] {
        let store = format!("{kind}/{order} {place}");
        let mut processes = [Process::start(&store), Process::start(&store)];
        for round in 0..ROUNDS {
            // The two take turns.
            if round % 2 == 1 {
                processes.reverse();
            }
            let [here, there] = &mut processes;
            let id = format!("{order}-{round}");
            assert_eq!(here.ask(&format!("create {id} one")), "true");
            // Both have it cached.
            for process in [&mut *here, &mut *there] {
                assert_eq!(process.ask(&format!("load {id}")), "one");
                assert_eq!(process.ask(&format!("load {id}")), "one");
            }
            assert_eq!(here.ask(&format!("update {id} two")), "true");
            assert_eq!(there.ask(&format!("load {id}")), "two", "{store}");
            assert_eq!(here.ask(&format!("remove {id}")), "true");
            assert_eq!(there.ask(&format!("load {id}")), "absent", "{store}");
            assert_eq!(here.ask(&format!("load {id}")), "absent", "{store}");
        }
        println!("{store}: {ROUNDS} changes and logouts, each seen by the other's next load");
    }
}
