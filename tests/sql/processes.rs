//! Two application processes on one database. The second is this test program, started again.

use std::io::{BufRead, BufReader};

use crate::{
    server::{Product, Server, wait_until},
    support::*,
    worker::{increments_add_up_and_logouts_are_final, list, start},
};

/// The URL of a fresh database.
fn fresh(product: Product) -> String {
    let server = Server::shared(product);
    format!("{}?create=yes&connections=4&timeout_ms=30000", server.url(&server.database()))
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
        let mut child = start("write", &url, &list(&ids));
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
