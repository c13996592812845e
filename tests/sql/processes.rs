//! Two application processes on one database. The second is this test program, started again.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use session_layer::{SessionId, SessionStore, store::Update};

use crate::{
    server::{Product, Server, wait_until},
    support::*,
};

const TASK: &str = "SESSION_LAYER_TEST_TASK";
const KEYS: usize = 100;
const INCREMENTS: u64 = 100;

/// The ids as text for the other process.
fn list(ids: &[SessionId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Starts this program again to do a task on these sessions.
pub(crate) fn start(task: &str, url: &str, ids: &[SessionId]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["processes::worker", "--exact", "--nocapture"])
        .env(TASK, format!("{task} {url} {}", list(ids)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The second process: does the task that its environment names. Without one, does nothing.
#[tokio::test]
async fn worker() {
    let Ok(text) = std::env::var(TASK) else { return };
    let words: Vec<_> = text.split(' ').collect();
    let store = open(words[1]).await;
    let ids: Vec<SessionId> = words[2..].iter().map(|id| id.parse().expect("an id")).collect();
    match words[0] {
        "increment" => {
            for round in 0..INCREMENTS {
                for id in &ids {
                    assert!(increment(&store, id).await, "a session is gone in round {round}");
                }
            }
            // Until the other process logs out.
            for id in &ids {
                while increment(&store, id).await {}
                assert!(store.load(id).await.expect("it answers").is_none());
            }
        }
        "write" => loop {
            for id in &ids {
                let held = loaded(&store, id).await;
                let next = numbered(number(&held) + 1);
                match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
                    Update::Updated(_) => println!("wrote {id} {}", number(&held) + 1),
                    other => panic!("nobody else writes: {other:?}"),
                }
            }
        },
        other => panic!("no task {other}"),
    }
}

/// The URL of a fresh database.
fn fresh(product: Product) -> String {
    let server = Server::shared(product);
    format!("{}?create=yes&connections=4&timeout_ms=30000", server.url(&server.database()))
}

pub(crate) async fn increments_add_up_and_logouts_are_final(url: &str) {
    let store = open(url).await;
    let ids: Vec<_> = (0..KEYS).map(|_| id()).collect();
    for id in &ids {
        created(&store, id, &numbered(0)).await;
    }
    let child = start("increment", url, &ids);
    for _ in 0..INCREMENTS {
        for id in &ids {
            assert!(increment(&store, id).await, "it is there");
        }
    }
    for id in &ids {
        // Wait for the other process to do its part. More increments do no harm.
        let held = loop {
            let held = loaded(&store, id).await;
            if number(&held) >= 2 * INCREMENTS {
                break held;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(store.remove(id).await.unwrap());
        let late = numbered(1);
        assert_eq!(store.update(id, &late, &held.version, usage(&late)).await.unwrap(), Update::Gone);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the second process failed: {}", String::from_utf8_lossy(&output.stdout));
    for id in &ids {
        assert!(store.load(id).await.unwrap().is_none(), "it is back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_add_up_and_logouts_are_final_on_postgres() {
    increments_add_up_and_logouts_are_final(&fresh(Product::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_processes_add_up_and_logouts_are_final_on_mariadb() {
    increments_add_up_and_logouts_are_final(&fresh(Product::MariaDb)).await;
}

/// After a process is killed, its acknowledged writes persist, and no lock and no transaction is left behind.
async fn a_killed_process_leaves_nothing_behind(product: Product) {
    let server = Server::shared(product);
    let database = server.database();
    let url = format!("{}?create=yes&connections=2&timeout_ms=30000", server.url(&database));
    let store = open(&url).await;
    let ids: Vec<_> = (0..3).map(|_| id()).collect();
    let mut acknowledged = vec![0; ids.len()];
    for id in &ids {
        created(&store, id, &numbered(0)).await;
    }
    for round in 0..10 {
        let mut child = start("write", &url, &ids);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut note = |line: String| {
            let Some((id, n)) = line.split_once("wrote ").and_then(|(_, rest)| rest.split_once(' ')) else { return };
            let at = ids.iter().position(|own| own.to_string() == id).expect("one of ours");
            acknowledged[at] = n.parse::<u64>().expect("a number");
        };
        // Kill it at a different point each time.
        for line in lines.by_ref().take(5 + usize::try_from(random() % 50).unwrap()) {
            note(line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The lines that it wrote before its end are still in the pipe; the last one may be cut off.
        let mut rest: Vec<_> = lines.collect();
        rest.pop();
        rest.into_iter().for_each(&mut note);
        for (id, acknowledged) in ids.iter().zip(&acknowledged) {
            let stored = number(&loaded(&store, id).await);
            assert!(stored >= *acknowledged, "round {round}: {stored} is older than {acknowledged}");
            // Nothing is locked.
            assert!(increment(&store, id).await);
        }
    }
    let others = match product {
        Product::Postgres => format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state LIKE 'idle in transaction%'"
        ),
        Product::MariaDb => "SELECT count(*) FROM information_schema.innodb_trx".to_owned(),
    };
    wait_until("no transaction is open", || server.sql(&database, &others) == "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_nothing_behind_on_postgres() {
    a_killed_process_leaves_nothing_behind(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_nothing_behind_on_mariadb() {
    a_killed_process_leaves_nothing_behind(Product::MariaDb).await;
}
