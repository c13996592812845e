//! Faults of a server under the load of three processes: it is killed and restarted, stopped, locked and made
//! read-only, and its connections are ended.
//!
//! Short by default. For a long run that prints its counts:
//!
//! ```text
//! SESSION_LAYER_CHAOS_SECONDS=60 cargo test --release --test sql chaos -- --nocapture
//! ```

use std::{process::Stdio, thread::sleep, time::Duration};

use crate::{
    client::Promise,
    load::{LIMIT, Load, length, pause},
    server::{Product, Server},
    support::open,
};

/// Holds a lock on the whole table for a while.
fn lock(server: &Server, database: &str, time: Duration) {
    let seconds = time.as_secs_f64();
    let (option, text) = match server.product() {
        Product::Postgres => {
            ("-c", format!("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT"))
        }
        Product::MariaDb => ("-e", format!("LOCK TABLES sessions WRITE; SELECT SLEEP({seconds}); UNLOCK TABLES")),
    };
    let mut client = server.client(database);
    let mut child = client.args([option, &text]).stdout(Stdio::null()).spawn().expect("a client");
    child.wait().expect("it ends");
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
    let url = format!("{}?connections=3&timeout_ms={}", server.url_as(&user, &database), LIMIT.as_millis());
    // Create the table.
    open(&format!("{url}&create=yes")).await;
    let load = Load {
        name: format!("{product:?}"),
        url,
        promise: Promise::All,
        first_byte: None,
        length: length(10),
        least: 6,
    };
    let faults = move |round| match round % 6 {
        0 => {
            server.kill();
            sleep(pause(600));
            server.restart();
        }
        1 => {
            server.stop();
            sleep(pause(600) + LIMIT);
            server.resume();
        }
        2 => end_connections(&server, &database),
        3 => lock(&server, &database, pause(600) + LIMIT),
        4 => {
            set_read_only(&server, &database, true);
            sleep(pause(600));
            set_read_only(&server, &database, false);
        }
        _ => {
            server.shut_down();
            sleep(pause(600));
            server.restart();
        }
    };
    tokio::task::spawn_blocking(move || load.run(faults)).await.unwrap();
}

#[tokio::test]
async fn chaos_loses_nothing_on_postgres() {
    chaos(Product::Postgres).await;
}

#[tokio::test]
async fn chaos_loses_nothing_on_mariadb() {
    chaos(Product::MariaDb).await;
}
