//! A server under the load of three application processes. The server is killed and started again, stopped, locked,
//! made read-only, and its connections are ended; the applications are killed.
//!
//! A short one by default. A long one, with what it saw:
//!
//! ```text
//! SESSION_LAYER_CHAOS_SECONDS=60 cargo test --release --test sql chaos -- --nocapture
//! ```

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use session_layer::{DynStore, SessionStore};

use crate::{
    chaos_application::{Book, application},
    server::{Product, Server},
    support::*,
};

/// The limit of one request. An unanswered write is read back within a second limit, and a busy machine may notice late
/// that a limit is over.
const LIMIT: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_millis(2 * 500 + 3_000);

const APPLICATIONS: usize = 3;
const CLIENTS: u64 = 4;
const KINDS: usize = 7;

/// For an application's process: the URL of its store, and the number of its first client.
const TASK: &str = "SESSION_LAYER_CHAOS_TASK";

/// Another process of this program, and who reads what it says.
struct Application {
    child: Child,
    reader: JoinHandle<Book>,
}

impl Application {
    fn start(url: &str, first: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["chaos::one_application", "--exact", "--nocapture"])
            .env(TASK, format!("{url} {first}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let reader = std::thread::spawn(move || {
            let mut book = Book::default();
            lines.for_each(|line| book.note(&line));
            book
        });
        Self { child, reader }
    }

    fn kill(mut self) -> Book {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap()
    }

    /// Lets it check its sessions and end.
    fn end(mut self) -> Book {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        let book = self.reader.join().unwrap();
        assert!(status.success(), "an application has failed");
        book
    }
}

/// An application, if it is started as one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_application() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (url, first) = task.split_once(' ').unwrap();
    application(url, first.parse().unwrap(), CLIENTS).await;
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
                // It may have ended.
                let _ = server.try_sql(database, &format!("KILL {id}"));
            }
        }
    }
}

/// Takes writes no more, as a primary that has become a replica, and ends what is connected.
fn set_read_only(server: &Server, database: &str, on: bool) {
    let word = if on { "on" } else { "off" };
    match server.product() {
        // From another database, where the setting does not hold.
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
    // An own user: a superuser may write to a read-only MariaDB.
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
    let mut firsts = (0..).step_by(usize::try_from(CLIENTS).unwrap());
    let mut another = || Application::start(&url, firsts.next().unwrap());
    let mut applications: Vec<_> = (0..APPLICATIONS).map(|_| another()).collect();
    let (mut killed, mut checked) = (Vec::new(), 0);
    let (start, mut faults, mut slowest_recovery) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) || faults < KINDS {
        let pause = Duration::from_millis(random() % 600);
        match faults % KINDS {
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
            5 => {
                let oldest = applications.remove(0);
                killed.push(oldest.kill());
                applications.push(another());
            }
            _ => {
                server.shut_down();
                tokio::time::sleep(pause).await;
                server.restart();
            }
        }
        slowest_recovery = slowest_recovery.max(writes_within(&store).await);
        if faults % KINDS == 5 {
            checked += killed.last().expect("it was killed now").check(&store).await;
        }
        tokio::time::sleep(Duration::from_millis(random() % 300)).await;
        faults += 1;
    }
    let (mut seen, mut ended) = ([0; 4], 0);
    for application in applications {
        let book = application.end();
        let theirs = book.seen.expect("it has counted");
        (0..3).for_each(|at| seen[at] += theirs[at]);
        seen[3] = seen[3].max(theirs[3]);
        ended += book.ended.len();
    }
    for book in &killed {
        book.none_is_back(&store).await;
        ended += book.ended.len();
    }
    let [answered, errors, unknown, slowest] = seen;
    let slowest = Duration::from_micros(slowest);
    eprintln!(
        "{product:?}: {faults} faults, {} of which killed an application ({checked} sessions of those checked); of those \
         that lived {answered} calls answered, {errors} errors, {unknown} outcomes unknown; {ended} sessions removed; \
         slowest call {slowest:?}, slowest recovery {slowest_recovery:?}",
        killed.len(),
    );
    assert!(answered > 100 && ended > 0 && checked > 0);
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
