//! Several processes over one store. The others are this test's own program, started again with a role.

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime},
};

use axum::{Router, routing::any};
use http::StatusCode;
use session_layer::{Clock, DynStore, Error, FileStore, MemcachedStore, Session, SessionLayer, connect};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

#[cfg(feature = "redis")]
use crate::redis::{Product, Server};
use crate::{
    memcached::Memcached,
    site::{answered, request},
    support::LEASE,
};

const ROLE: &str = "SESSION_LAYER_EXCLUSIVE_ROLE";
/// The number of increments of each of two processes.
const EACH: usize = 25;
/// Enough time for all turns on a busy machine.
const LONG: Duration = Duration::from_secs(300);

fn layer(store: DynStore, wait: Duration, clock: Clock) -> SessionLayer {
    SessionLayer::builder(store).exclusive(wait).clock(clock).build().unwrap()
}

async fn slow(session: Session) -> Result<(), Error> {
    let n: u64 = session.get("n")?.unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(2)).await;
    session.insert("n", n + 1)
}

async fn send(layer: &SessionLayer, cookie: &str) -> StatusCode {
    let router = Router::new().route("/", any(slow)).layer(layer.clone());
    answered(router.oneshot(request(Some(cookie))).await.unwrap()).await.status
}

/// Sends all increments at once, and retries when the line is full.
async fn increments(layer: &SessionLayer, cookie: &str, many: usize) {
    let mut requests = JoinSet::new();
    for _ in 0..many {
        let (layer, cookie) = (layer.clone(), cookie.to_owned());
        requests.spawn(async move {
            loop {
                match send(&layer, &cookie).await {
                    StatusCode::LOCKED => tokio::task::yield_now().await,
                    status => break status,
                }
            }
        });
    }
    for status in requests.join_all().await {
        assert_eq!(status, StatusCode::OK);
    }
}

/// The child process: plays the role that its environment names. An unknown role fails.
#[tokio::test]
async fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else {
        assert!(!command("none memory: a=b").output().unwrap().status.success());
        return;
    };
    let [role, url, cookie] = role.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let layer = layer(connect(url).await.unwrap(), LONG, Clock::system());
    match role {
        "increments" => increments(&layer, cookie, EACH).await,
        // Keeps its turn until it is killed.
        "holds" => {
            let handler = async |session: Session| {
                session.insert("n", 1_000).unwrap();
                say("held");
                std::future::pending::<()>().await;
            };
            let router = Router::new().route("/", any(handler)).layer(layer);
            router.oneshot(request(Some(cookie))).await.unwrap();
        }
        other => panic!("no role: {other}"),
    }
}

#[allow(clippy::print_stdout, reason = "how it tells the other process")]
fn say(what: &str) {
    println!("\nchild: {what}");
}

fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["processes::plays_its_role", "--exact", "--nocapture"]).env(ROLE, role);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Killed when the test fails.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, url: &str, cookie: &str) -> Self {
        let mut child = command(&format!("{role} {url} {cookie}")).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn until(&mut self, word: &str) {
        let said = format!("child: {word}");
        assert!(self.lines.any(|line| line.unwrap() == said), "it ended before it said {word}");
    }

    /// Sends `SIGKILL`.
    fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a session with `n` = 0, and returns its `Cookie` line.
async fn session_in(layer: &SessionLayer) -> (String, session_layer::SessionId) {
    let session = layer.new_session();
    session.insert("n", 0).unwrap();
    session.save().await.unwrap();
    let cookie = layer.request_cookie(&session).unwrap();
    (cookie.to_str().unwrap().to_owned(), session.id().unwrap())
}

/// In one process, and in two.
async fn fifty_end_at_fifty(url: &str) {
    let layer = layer(connect(url).await.unwrap(), LONG, Clock::system());
    let (cookie, id) = session_in(&layer).await;
    increments(&layer, &cookie, 2 * EACH).await;
    assert_eq!(layer.sessions().get::<usize>(&id, "n").await.unwrap(), Some(2 * EACH));
    let (cookie, id) = session_in(&layer).await;
    let mut other = Process::start("increments", url, &cookie);
    increments(&layer, &cookie, EACH).await;
    let ended = tokio::task::spawn_blocking(move || {
        // Reads to the end, so that the child never waits for a reader.
        other.lines.by_ref().for_each(drop);
        other.child.wait().unwrap()
    });
    assert!(ended.await.unwrap().success());
    assert_eq!(layer.sessions().get::<usize>(&id, "n").await.unwrap(), Some(2 * EACH));
}

/// A process dies during its turn. It delays the session for as long as its lease, and none of its changes are stored.
/// `open` opens the same store as another server, with this clock.
async fn a_dead_process_holds_a_session_up_for_its_lease<F>(url: &str, open: impl Fn(Clock) -> F)
where
    F: Future<Output = DynStore>,
{
    let now = layer(connect(url).await.unwrap(), Duration::ZERO, Clock::system());
    let (cookie, id) = session_in(&now).await;
    let before = SystemTime::now();
    let mut holder = Process::start("holds", url, &cookie);
    holder.until("held");
    assert_eq!(send(&now, &cookie).await, StatusCode::LOCKED);
    holder.kill();
    assert_eq!(send(&now, &cookie).await, StatusCode::LOCKED, "nobody gives it back");
    // Stores count in milliseconds or finer. The lease was taken between the two times.
    let early = Clock::manual(before + LEASE - Duration::from_millis(2));
    let server = layer(open(early.clone()).await, Duration::ZERO, early);
    assert_eq!(send(&server, &cookie).await, StatusCode::LOCKED);
    let late = Clock::manual(SystemTime::now() + LEASE);
    let server = layer(open(late.clone()).await, Duration::ZERO, late);
    assert_eq!(send(&server, &cookie).await, StatusCode::OK);
    assert_eq!(server.sessions().get::<u64>(&id, "n").await.unwrap(), Some(1));
}

fn url_of(dir: &Path) -> String {
    format!("file:{}?durability=none", dir.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_increments_all_count_over_files() {
    let dir = tempfile::tempdir().unwrap();
    fifty_end_at_fifty(&url_of(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_increments_all_count_over_memcached() {
    let server = Memcached::start(&[]);
    fifty_end_at_fifty(&format!("memcached://{}?timeout_ms=10000", server.address())).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_increments_all_count_over_redis() {
    let server = Server::start(Product::Redis, &[]);
    fifty_end_at_fifty(&format!("redis://{}?timeout_ms=10000", server.address())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_delays_its_session_for_its_lease_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    a_dead_process_holds_a_session_up_for_its_lease(&url_of(dir.path()), async |clock| {
        let builder = FileStore::builder(&path).clock(clock).sweep_interval(None);
        DynStore::new(builder.durability(session_layer::Durability::None).open().await.unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_delays_its_session_for_its_lease_over_memcached() {
    let server = Memcached::start(&[]);
    let address = server.address();
    a_dead_process_holds_a_session_up_for_its_lease(&format!("memcached://{address}"), async |clock| {
        DynStore::new(MemcachedStore::builder().servers([&address]).clock(clock).build().unwrap())
    })
    .await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_delays_its_session_for_its_lease_over_redis() {
    let server = Server::start(Product::Valkey, &[]);
    let address = server.address();
    a_dead_process_holds_a_session_up_for_its_lease(&format!("redis://{address}"), async |clock| {
        DynStore::new(session_layer::RedisStore::builder().server(&address).clock(clock).build().unwrap())
    })
    .await;
}
