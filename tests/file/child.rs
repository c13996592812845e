//! Other processes: this test binary, started again with a role.

use std::{
    env, fs,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_layer::{
    Durability, FileStore, SessionId, SessionStore,
    record::Record,
    store::{Acquire, Holder, Leases, Listing, Rename, StoreErrorKind, Usage},
};

use crate::support::*;

const ROLE: &str = "SESSION_LAYER_CHILD";
const DIR: &str = "SESSION_LAYER_CHILD_DIR";
const ARGUMENT: &str = "SESSION_LAYER_CHILD_ARGUMENT";

/// The prefix of a child's output, to tell it from the test harness's.
const MARK: &str = "child: ";

/// A command that plays a role on a directory.
pub(crate) fn command(role: &str, dir: &Path, argument: &str) -> Command {
    prefixed(&[], &env::current_exe().unwrap(), role, dir, argument)
}

/// The same, started by another program: `unshare`, `strace`, `sh`.
pub(crate) fn prefixed(prefix: &[&str], exe: &Path, role: &str, dir: &Path, argument: &str) -> Command {
    let mut command = match prefix {
        [] => Command::new(exe),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(exe);
            command
        }
    };
    command.args(["--exact", "child::plays_its_role", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(DIR, dir).env(ARGUMENT, argument);
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command that must succeed, and returns its output.
pub(crate) fn run(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.lines().filter_map(said).collect()
}

/// Returns the child's text in this line.
pub(crate) fn said(line: &str) -> Option<String> {
    line.split_once(MARK).map(|(_, said)| said.to_owned())
}

pub(crate) fn say(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{what}").unwrap();
    out.flush().unwrap();
}

/// Waits until the parent lets this process continue.
fn listen() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
}

pub(crate) fn durability(name: &str) -> Durability {
    match name {
        "none" => Durability::None,
        "data" => Durability::Data,
        "full" => Durability::Full,
        other => panic!("no durability: {other}"),
    }
}

/// Without a role this is a test like any other. An unknown role fails.
#[test]
fn plays_its_role() {
    let Ok(role) = env::var(ROLE) else {
        let output = command("none such", Path::new("/"), "").output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("none such"));
        return;
    };
    let (dir, argument) = (PathBuf::from(env::var(DIR).unwrap()), env::var(ARGUMENT).unwrap());
    // One blocking thread, since strace counts the calls of each thread.
    let threads = if role == "unsynced" { 1 } else { 8 };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(threads).build().unwrap();
    runtime.block_on(async move {
        match role.as_str() {
            "increment" => many_increments(&dir, &argument).await,
            "late" => late_writer(&dir, &argument).await,
            "hold" => hold_lock(&dir, &argument),
            "lease" => take_lease(&dir, &argument).await,
            "churn" => churn(&dir, &argument).await,
            "trace" => trace(&dir, &argument).await,
            "fill" => fill(&dir).await,
            "read_only" => read_only(&dir).await,
            "few_files" => few_files(&dir).await,
            "unprivileged" => unprivileged(&dir).await,
            "unsynced" => crate::unsynced::play(&dir, &argument).await,
            "hung" => crate::bounded::play(&dir, &argument).await,
            other => panic!("no such role: {other}"),
        }
    });
}

async fn store(dir: &Path) -> FileStore {
    FileStore::builder(dir).durability(Durability::None).sweep_interval(None).open().await.unwrap()
}

async fn many_increments(dir: &Path, times: &str) {
    let store = store(dir).await;
    for _ in 0..times.parse().unwrap() {
        increment(&store, &id(1, 1)).await;
    }
}

/// Loads, waits for the parent to log out, and then writes in every way.
async fn late_writer(dir: &Path, _: &str) {
    let store = store(dir).await;
    let key = id(1, 1);
    let held = store.load(&key).await.unwrap().expect("the session is there");
    say("loaded");
    listen();
    let usage = held.usage();
    say(format!("{:?}", store.update(&key, &held.record, &held.version, usage).await.unwrap()));
    say(format!("{:?}", store.touch(&key, usage).await.unwrap()));
    say(format!(
        "{:?}",
        store.rename(&key, &held.version, &tombstone(start()), &id(2, 1), &held.record, usage).await.unwrap()
    ));
    say(format!("{:?}", store.load(&key).await.unwrap().is_some()));
}

/// Takes the lock of a shard and keeps it, like a process that is stopped during a write.
fn hold_lock(dir: &Path, shard: &str) {
    let file = fs::File::options().read(true).write(true).open(dir.join(shard).join("lock")).unwrap();
    file.lock().unwrap();
    say("held");
    listen();
}

async fn take_lease(dir: &Path, _: &str) {
    let store = store(dir).await;
    let lease = store.acquire(&id(1, 1), Holder::from_u128(1), DAY).await.unwrap();
    assert!(matches!(lease, Acquire::Acquired { .. }));
    say("leased");
    listen();
}

/// Creates, updates, renews and removes four sessions until it is killed. It announces each step before and after:
/// `slot ? generation number`, `slot ! generation number`, and `-` for a removal.
async fn churn(dir: &Path, setting: &str) {
    let store = FileStore::builder(dir).durability(durability(setting)).sweep_interval(None).open().await.unwrap();
    let base = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64 % (1 << 36);
    let tasks: Vec<_> = (0..4_u8)
        .map(|slot| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0.. {
                    live_and_die(&store, slot, base + round * 100).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn live_and_die(store: &FileStore, slot: u8, first: u64) {
    let fresh = |number| record_at(SystemTime::now(), number);
    let usage = |record: &Record| Usage::at(record, SystemTime::now());
    let (mut generation, mut count) = (first, 0);
    say(format!("{slot} ? {generation} {count}"));
    let record = fresh(count);
    let created = store.create(&id(slot, generation), &record, usage(&record)).await.unwrap();
    let session_layer::store::Create::Created(mut version) = created else { panic!("it exists") };
    say(format!("{slot} ! {generation} {count}"));
    for step in 0..4 {
        count += 1;
        let record = fresh(count);
        if step == 2 {
            say(format!("{slot} ? {} {count}", generation + 1));
            let (from, to) = (id(slot, generation), id(slot, generation + 1));
            match store.rename(&from, &version, &tombstone(start()), &to, &record, usage(&record)).await.unwrap() {
                Rename::Renamed(new) => version = new,
                other => panic!("{other:?}"),
            }
            generation += 1;
        } else {
            say(format!("{slot} ? {generation} {count}"));
            version = updated(store.update(&id(slot, generation), &record, &version, usage(&record)).await.unwrap());
        }
        say(format!("{slot} ! {generation} {count}"));
    }
    say(format!("{slot} ? {generation} -"));
    assert!(store.remove(&id(slot, generation)).await.unwrap());
    say(format!("{slot} ! {generation} -"));
}

/// Runs one operation after another. Before each one it looks up a path that doesn't exist, which marks the operation's
/// beginning in the trace.
async fn trace(dir: &Path, setting: &str) {
    let clock = session_layer::Clock::manual(start());
    let builder = FileStore::builder(dir).durability(durability(setting)).clock(clock.clone()).sweep_interval(None);
    let store = builder.open().await.unwrap();
    // The shards are created once, so they are created before.
    for shard in [1, 2] {
        create(&store, &id(shard, 100), 0).await;
    }
    let begin = |operation: &str| assert!(!Path::new("/begin").join(operation).exists());
    let key = id(1, 1);
    begin("create");
    let version = create(&store, &key, 1).await;
    begin("update");
    updated(store.update(&key, &record(2), &version, usage()).await.unwrap());
    begin("touch");
    store.touch(&key, usage()).await.unwrap();
    begin("load");
    let version = store.load(&key).await.unwrap().unwrap().version;
    begin("sweep");
    store.sweep().await.unwrap();
    begin("rename");
    let renamed = store.rename(&key, &version, &tombstone(start()), &id(2, 1), &record(3), usage()).await.unwrap();
    assert!(matches!(renamed, Rename::Renamed(_)));
    begin("remove");
    assert!(store.remove(&id(2, 1)).await.unwrap());
    begin("expired");
    clock.advance(HOUR);
    store.sweep().await.unwrap();
    begin("epoch");
    store.ensure_epoch("alice", Usage::keep_for(start(), DAY)).await.unwrap();
    begin("flush");
    store.flush().await.unwrap();
    begin("flush again");
    store.flush().await.unwrap();
    begin("end");
}

fn unavailable<T: std::fmt::Debug>(outcome: Result<T, session_layer::store::StoreError>, path: &Path, cause: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    let text = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains(cause), "{text}");
}

fn big(number: u64) -> Arc<Record> {
    let (text, filling) = (number.to_string(), vec![b'x'; 8_000]);
    let entries =
        session_layer::record::Entries::from_sorted([("filling", &filling[..]), ("n", text.as_bytes())].into_iter())
            .unwrap();
    Arc::new(Record::clone(&record_at(SystemTime::now(), number)).with_entries(entries))
}

/// A full disk leaves every session as it was; a removed session makes room.
async fn fill(dir: &Path) {
    let store = store(dir).await;
    let usage = Usage::keep_for(SystemTime::now(), HOUR);
    let mut stored = Vec::new();
    let failed = loop {
        let key = id(1, stored.len() as u64);
        match store.create(&key, &big(stored.len() as u64), usage).await {
            Ok(_) => stored.push(key),
            Err(error) => break error,
        }
        assert!(stored.len() < 10_000, "the disk does not become full: is it mounted?");
    };
    unavailable::<()>(Err(failed), &dir.join("01/tmp"), "make room");
    assert!(stored.len() > 10);
    let version = store.load(&stored[0]).await.unwrap().unwrap().version;
    unavailable(store.update(&stored[0], &big(77), &version, usage).await, dir, "make room");
    assert!(store.load(&id(1, 1_000)).await.unwrap().is_none(), "absent is still absent");
    for (number, key) in stored.iter().enumerate() {
        assert_eq!(crate::support::number(&store.load(key).await.unwrap().unwrap()), number as u64);
    }
    assert_eq!(store.load(&stored[0]).await.unwrap().unwrap().version, version);
    assert!(!dir.join("01/tmp").exists());

    assert!(store.remove(&stored[1]).await.unwrap(), "logging out works on a full disk");
    updated(store.update(&stored[0], &big(77), &version, usage).await.unwrap());
    say(format!("filled {}", stored.len()));
}

fn mount(options: &str, dir: &Path) {
    let output = Command::new("mount").args(["-o", options]).arg(dir).output().unwrap();
    assert!(output.status.success(), "mount -o {options}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file system becomes read-only, as the kernel makes it when a disk fails, and then writable again.
async fn read_only(dir: &Path) {
    let store = store(dir).await;
    let usage = Usage::keep_for(SystemTime::now(), HOUR);
    store.create(&id(1, 1), &big(1), usage).await.unwrap();
    let version = store.load(&id(1, 1)).await.unwrap().unwrap().version;
    mount("remount,ro,bind", dir);
    assert_eq!(number(&store.load(&id(1, 1)).await.unwrap().unwrap()), 1, "reading goes on");
    unavailable(store.update(&id(1, 1), &big(2), &version, usage).await, &dir.join("01"), "mount");
    unavailable(store.touch(&id(1, 1), usage).await, &dir.join("01"), "mount");
    unavailable(store.remove(&id(1, 1)).await, &dir.join("01"), "mount");
    unavailable(store.create(&id(9, 1), &big(1), usage).await, &dir.join("09"), "mount");
    let error = FileStore::open(dir).await.unwrap_err();
    assert!(error.to_string().contains("Read-only") && error.to_string().contains(dir.to_str().unwrap()), "{error}");
    assert_eq!(reason(&error), std::io::ErrorKind::ReadOnlyFilesystem);
    mount("remount,rw,bind", dir);
    updated(store.update(&id(1, 1), &big(2), &version, usage).await.unwrap());
    say("done");
}

/// All file descriptors are in use. No answer is "absent", and the store works again when some are free.
async fn few_files(dir: &Path) {
    let store = store(dir).await;
    let usage = Usage::keep_for(SystemTime::now(), HOUR);
    store.create(&id(1, 1), &big(1), usage).await.unwrap();
    let held = store.load(&id(1, 1)).await.unwrap().unwrap();
    let mut files = Vec::new();
    let error = loop {
        match fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => break error,
        }
        assert!(files.len() < 100, "there is no limit");
    };
    assert!(error.to_string().contains("Too many open files"), "{error}");
    for free in 0..4 {
        // With each free descriptor an operation gets one step further before it fails.
        let load = store.load(&id(1, 1)).await;
        assert!(load.is_err() == (free == 0) && !load.is_ok_and(|found| found.is_none()));
        match store.update(&id(1, 1), &big(2), &held.version, usage).await {
            Ok(outcome) => {
                updated(outcome);
                say(format!("needs {free}"));
                assert!(store.remove(&id(1, 1)).await.unwrap());
                return;
            }
            Err(error) => unavailable::<()>(Err(error), &dir.join("01"), "limit of open files"),
        }
        files.pop();
        assert_eq!(store.load(&id(1, 1)).await.unwrap().unwrap().version, held.version);
    }
    panic!("an update needs more files than it should");
}

/// Access to a directory is lost and comes back. (As an unprivileged user: the superuser is never denied.)
async fn unprivileged(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;

    let own = dir.join("own");
    let store = FileStore::builder(&own).durability(Durability::None).sweep_interval(None).create().await.unwrap();
    let usage = Usage::keep_for(SystemTime::now(), HOUR);
    store.create(&id(1, 1), &big(1), usage).await.unwrap();
    let version = store.load(&id(1, 1)).await.unwrap().unwrap().version;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cause = "give this process's user the right";

    set(&own.join("01"), 0o000);
    unavailable(store.load(&id(1, 1)).await, &own.join("01"), cause);
    unavailable(store.load(&id(1, 2)).await, &own.join("01"), cause);
    unavailable(store.update(&id(1, 1), &big(2), &version, usage).await, &own.join("01"), cause);
    unavailable(store.create(&id(1, 2), &big(2), usage).await, &own.join("01"), cause);
    unavailable(store.remove(&id(1, 1)).await, &own.join("01"), cause);
    unavailable(store.count().await, &own.join("01"), cause);
    set(&own.join("01"), 0o500);
    assert_eq!(number(&store.load(&id(1, 1)).await.unwrap().unwrap()), 1);
    unavailable(store.update(&id(1, 1), &big(2), &version, usage).await, &own.join("01"), cause);
    unavailable(store.remove(&id(1, 1)).await, &own.join("01"), cause);
    set(&own.join("01"), 0o700);
    updated(store.update(&id(1, 1), &big(2), &version, usage).await.unwrap());

    set(&own, 0o300);
    let error = FileStore::open(&own).await.unwrap_err();
    assert!(error.to_string().contains("can't list the directory"), "{error}");
    assert_eq!(reason(&error), std::io::ErrorKind::PermissionDenied);
    set(&own, 0o500);
    let error = FileStore::open(&own).await.unwrap_err();
    assert!(error.to_string().contains("can't write to the directory"), "{error}");
    assert_eq!(reason(&error), std::io::ErrorKind::PermissionDenied);
    let error = FileStore::create(own.join("below")).await.unwrap_err();
    assert_eq!(reason(&error), std::io::ErrorKind::PermissionDenied);
    set(&own, 0o000);
    let error = FileStore::open(own.join("below")).await.unwrap_err();
    assert_eq!(reason(&error), std::io::ErrorKind::PermissionDenied);
    set(&own, 0o700);
    FileStore::open(&own).await.unwrap();
    say("done");
}

/// Lets a waiting child continue.
pub(crate) fn go_on(child: &mut std::process::Child) {
    child.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
}

/// Waits until a child has printed this.
pub(crate) fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, what: &str) {
    let found = lines.map(Result::unwrap).filter_map(|line| said(&line)).any(|said| said == what);
    assert!(found, "the child ended without saying {what:?}");
}

/// An id that the churning child uses.
pub(crate) fn slot_id(slot: u8, generation: u64) -> SessionId {
    id(slot, generation)
}

/// A short time limit for tests in which waiting is useless.
pub(crate) const SOON: Duration = Duration::from_millis(200);
