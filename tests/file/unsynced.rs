//! No call acknowledges a change that was not synced. strace makes syncs fail, and records the syncs that were made.

use std::{
    fmt::Debug,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use session_layer::{
    Durability, FileStore, SessionId, SessionStore,
    record::{Epoch, Owner, Record},
    store::{Clearing, Cursor, Listing, Owners, Rename, StoreError, Usage},
};

use crate::{
    child::{self, say},
    support::*,
};

/// A scenario's child under strace, with the store's file or directory whose syncs strace changes.
struct Scenario {
    dir: tempfile::TempDir,
    said: Vec<String>,
    /// The syncs of that file or directory in order: whether each succeeded.
    syncs: Vec<bool>,
}

impl Scenario {
    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }
}

/// The store is created in another directory and then moved, so that strace changes only the scenario's own syncs.
fn run(scenario: &str, durability: &str, path: &str, tamper: &str) -> Scenario {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    play_again(Scenario { dir, said: Vec::new(), syncs: Vec::new() }, scenario, durability, path, tamper)
}

/// Runs a scenario over the store that another child has left.
fn play_again(before: Scenario, scenario: &str, durability: &str, path: &str, tamper: &str) -> Scenario {
    let log = tempfile::NamedTempFile::new().unwrap();
    let root = fs::canonicalize(before.dir.path()).unwrap();
    let tampered = root.join("store").join(path);
    let inject = format!("inject=fsync:{tamper}");
    let mut prefix = vec!["strace", "-f", "-y", "-o", log.path().to_str().unwrap(), "-P", tampered.to_str().unwrap()];
    prefix.extend(["-e", "trace=fsync"]);
    if !tamper.is_empty() {
        prefix.extend(["-e", &inject]);
    }
    let argument = format!("{scenario} {durability}");
    let mut command = child::prefixed(&prefix, &std::env::current_exe().unwrap(), "unsynced", &root, &argument);
    let output = command.output().expect("these tests need strace");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said: Vec<_> = out.lines().filter_map(child::said).collect();
    if !tamper.contains("signal") {
        assert!(output.status.success(), "{said:?}\n{out}\n{err}");
    }
    let log = fs::read_to_string(log.path()).unwrap();
    let ends = log.lines().filter(|line| line.contains("fsync") && line.contains(" = "));
    let syncs = ends.map(|line| line.contains(" = 0")).collect();
    Scenario { dir: before.dir, said, syncs }
}

/// Three syncs fail. At least one later sync must have succeeded before the last answer.
const THREE_FAIL: &str = "error=EIO:when=1..3";

fn assert_synced_after(scenario: &Scenario, failures: usize) {
    let failed = scenario.syncs.iter().filter(|succeeded| !**succeeded).count();
    assert_eq!(failed, failures, "{:?} {:?}", scenario.said, scenario.syncs);
    assert_eq!(scenario.syncs.last(), Some(&true), "the last answer came with a sync: {:?}", scenario.syncs);
}

fn assert_said(scenario: &Scenario, expected: &[&str]) {
    assert_eq!(scenario.said, expected, "{:?}", scenario.syncs);
}

#[test]
fn a_removal_that_was_not_synced_is_not_acknowledged() {
    for durability in ["data", "full"] {
        let scenario = run("remove", durability, "01", THREE_FAIL);
        let expected = [
            "remove: OutcomeUnknown",
            "load: Unavailable",
            "remove of a twin: Unavailable",
            "load of a twin: false",
            "remove: false",
        ];
        assert_said(&scenario, &expected);
        assert_synced_after(&scenario, 3);
        assert_eq!(fs::metadata(scenario.store().join("01/lock")).unwrap().len(), 0);
    }
}

#[test]
fn a_removal_that_was_not_synced_is_shown_by_no_reader() {
    let scenario = run("readers", "data", "01", "error=EIO:when=1..6");
    let expected = [
        "remove: OutcomeUnknown",
        "refresh: Unavailable",
        "metadata: Unavailable",
        "count: Unavailable",
        "ids: Unavailable",
        "list_owner: Unavailable",
        "list_owner: 0",
    ];
    assert_said(&scenario, &expected);
    assert_synced_after(&scenario, 6);
}

#[test]
fn a_removal_that_was_not_synced_is_not_built_on() {
    let scenario = run("writers", "data", "01", "error=EIO:when=1..6");
    let expected = [
        "remove: OutcomeUnknown",
        "create: Unavailable",
        "update: Unavailable",
        "touch: Unavailable",
        "rename: Unavailable",
        "rename: Unavailable",
        "update: Gone",
    ];
    assert_said(&scenario, &expected);
    assert_synced_after(&scenario, 6);
}

#[test]
fn a_save_that_was_not_synced_is_not_acknowledged() {
    let scenario = run("update", "full", "01", THREE_FAIL);
    let expected =
        ["update: OutcomeUnknown", "load: Unavailable", "update: Unavailable", "load: 2", "update: Conflict"];
    assert_said(&scenario, &expected);
    assert_synced_after(&scenario, 3);
}

#[test]
fn a_create_that_was_not_synced_is_not_acknowledged() {
    let scenario = run("create", "full", "01", THREE_FAIL);
    let expected = ["create: OutcomeUnknown", "load: Unavailable", "create: Unavailable", "create: Exists"];
    assert_said(&scenario, &expected);
    assert_synced_after(&scenario, 3);
}

#[test]
fn a_renewal_that_was_not_synced_is_not_acknowledged() {
    for durability in ["data", "full"] {
        let scenario = run("rename", durability, "01", THREE_FAIL);
        let expected = [
            "rename: OutcomeUnknown",
            "load of the old: Unavailable",
            "rename: Unavailable",
            "load of the old: Tombstone",
            "load of the new: Session",
        ];
        assert_said(&scenario, &expected);
        assert_synced_after(&scenario, 3);
    }
    // The new session's sync comes first. If it fails, the old session lives on.
    let scenario = run("rename to", "full", "02", THREE_FAIL);
    let expected = [
        "rename: OutcomeUnknown",
        "load of the new: Unavailable",
        "rename: Unavailable",
        "load of the old: Session",
        "load of the new: Session",
    ];
    assert_said(&scenario, &expected);
    assert_synced_after(&scenario, 3);
}

#[test]
fn a_revocation_that_was_not_synced_is_not_acknowledged() {
    let shard = format!("{:02x}", SessionId::for_epoch("alice").as_bytes()[0]);
    for durability in ["data", "full"] {
        let scenario = run("epoch", durability, &shard, "error=EIO:when=2..4");
        let expected = [
            "ensure_epoch: true",
            "renew_epoch: OutcomeUnknown",
            "owner_epoch: Unavailable",
            "renew_epoch: Unavailable",
            "owner_epoch: another",
        ];
        assert_said(&scenario, &expected);
        assert_synced_after(&scenario, 3);
    }
}

#[test]
fn a_clear_that_was_not_synced_is_not_acknowledged() {
    for what in ["clear", "delete_idle"] {
        let scenario = run(what, "data", "01", THREE_FAIL);
        let expected = ["first: OutcomeUnknown", "again: Unavailable", "count: Unavailable", "again: 0"];
        assert_said(&scenario, &expected);
        assert_synced_after(&scenario, 3);
    }
}

/// The process may end after the failed sync: the next process finds the mark.
#[test]
fn unsynced_changes_of_a_killed_process_are_synced_before_they_are_acknowledged() {
    let killed = run("remove", "data", "01", "signal=KILL:when=1");
    assert_said(&killed, &[]);
    assert!(!path_in(&killed.store(), &id(1, 1)).exists());
    let next = play_again(killed, "remove again", "data", "01", "");
    assert_said(&next, &["remove: false"]);
    assert_synced_after(&next, 0);

    let killed = run("remove", "data", "01", "signal=KILL:when=1");
    let next = play_again(killed, "load", "data", "01", "");
    assert_said(&next, &["load: false"]);
    assert_synced_after(&next, 0);
}

/// Only a change that was not synced costs a sync.
#[test]
fn a_synced_change_is_not_synced_again() {
    let scenario = run("load", "full", "01", "");
    assert_said(&scenario, &["load: true"]);
    assert_eq!(scenario.syncs, [false; 0]);
}

/// A new shard is a name in the directory. If that name is not synced, a power cut can remove the shard with its
/// sessions.
#[test]
fn a_session_in_a_shard_that_was_not_synced_is_not_acknowledged() {
    // The first sync of the directory belongs to opening the store.
    let scenario = run("new shard", "data", "", "error=EIO:when=2..3");
    assert_said(&scenario, &["create: Unavailable", "create: Unavailable", "create: true"]);
    assert_synced_after(&scenario, 2);
}

/// If an owner's mark is lost, a listing of the owner's sessions misses the session.
#[test]
fn a_login_whose_mark_was_not_synced_is_not_acknowledged() {
    let shard = format!("owners/{:02x}", SessionId::for_epoch("alice").as_bytes()[0]);
    let scenario = run("mark", "data", &shard, "error=EIO:when=1..2");
    assert_said(&scenario, &["create: Unavailable", "create: Unavailable", "create: true", "list_owner: 1"]);
    assert_synced_after(&scenario, 2);
}

/// A file that could not be synced is not synced again: another file is written.
#[test]
fn a_file_whose_sync_failed_is_replaced_by_a_new_file() {
    let scenario = run("file", "data", "01/tmp", "error=EIO:when=1");
    assert_said(&scenario, &["update: Unavailable", "load: 1", "update: Updated", "load: 2"]);
    assert_synced_after(&scenario, 1);
}

#[test]
fn a_touch_whose_sync_failed_is_taken_back() {
    let path = format!("01/{}", id(1, 1));
    let scenario = run("touch", "full", &path, "error=EIO:when=1");
    assert_said(&scenario, &["touch: OutcomeUnknown", "load: 0", "touch: Touched", "load: 60"]);
    assert_synced_after(&scenario, 1);
}

/// The kernel drops content that it could not write and reports that once, so the next sync of the same file would
/// succeed.
#[test]
fn a_flush_that_failed_writes_the_file_anew() {
    let path = format!("01/{}", id(1, 1));
    let scenario = run("flush", "none", &path, "error=EIO:when=1");
    assert_said(&scenario, &["flush: Unavailable", "flush: ()", "another file: true", "load: 1", "same version: true"]);
    assert_eq!(scenario.syncs, [false], "the file that could not be synced is not synced again");
}

#[test]
fn a_flush_that_failed_is_not_acknowledged_later() {
    let scenario = run("flush twice", "data", "01", "error=EIO:when=1..2");
    assert_said(&scenario, &["flush: Unavailable", "close: Unavailable", "close: ()"]);
    assert_synced_after(&scenario, 2);
}

/// A directory that can't be synced at all is detected when the store is opened.
#[test]
fn a_directory_that_cannot_be_synced_is_not_opened() {
    let scenario = run("open", "data", "", "error=EINVAL:when=1+");
    assert_said(&scenario, &["open: InvalidInput"]);
}

fn tell<T: Debug>(what: &str, outcome: Result<T, StoreError>) {
    match outcome {
        Ok(outcome) => say(format!("{what}: {outcome:?}")),
        Err(error) => say(format!("{what}: {:?}", error.kind())),
    }
}

fn owned() -> Arc<Record> {
    Arc::new(record(1).as_ref().clone().with_owner(Some(Owner::new("alice", Epoch::from_u64(1)).unwrap())))
}

async fn open_at(dir: &Path, durability: Durability) -> FileStore {
    let clock = session_layer::Clock::manual(start());
    FileStore::builder(dir).durability(durability).clock(clock).sweep_interval(None).open().await.unwrap()
}

/// The child: one scenario.
pub(crate) async fn play(dir: &Path, argument: &str) {
    let (scenario, durability) = argument.rsplit_once(' ').unwrap();
    let durability = child::durability(durability);
    let (setup, root) = (dir.join("setup"), dir.join("store"));
    let (key, other) = (id(1, 1), id(2, 1));
    if scenario == "open" {
        let error = FileStore::builder(&root).durability(durability).open().await.unwrap_err();
        return say(format!("open: {:?}", reason(&error)));
    }
    // The state before the scenario, made without changed syncs. A second child finds it.
    if !root.join("01").exists() {
        fs::rename(&root, &setup).unwrap();
        let store = open_at(&setup, durability).await;
        create(&store, &id(1, 2), 1).await;
        create(&store, &id(2, 2), 1).await;
        if scenario != "create" && scenario != "mark" {
            let record = if scenario == "readers" { owned() } else { record(1) };
            store.create(&key, &record, usage()).await.unwrap();
        }
        if scenario == "epoch" {
            // Creates the epoch's shard.
            store.ensure_epoch("alice", Usage::keep_for(start(), HOUR)).await.unwrap();
            store.remove(&SessionId::for_epoch("alice")).await.unwrap();
        }
        if scenario == "mark" {
            store.create(&other, &owned(), usage()).await.unwrap();
            store.remove(&other).await.unwrap();
        }
        if !scenario.starts_with("flush") {
            store.flush().await.unwrap();
        }
        fs::rename(&setup, &root).unwrap();
    }
    let store = open_at(&root, durability).await;
    let version = match scenario {
        "create" | "mark" | "load" | "remove again" => session_layer::store::Version::from_u64(1),
        _ => read_version(&root, &key).await,
    };
    let load = async |what: &str, store: &FileStore, key: &SessionId| {
        tell(what, store.load(key).await.map(|found| found.is_some()));
    };
    let number_of = async |store: &FileStore| tell("load", store.load(&key).await.map(|found| number(&found.unwrap())));
    let kind_of = async |what: &str, key: &SessionId| {
        let found = store.load(key).await.map(|found| found.unwrap().record.kind());
        tell(what, found);
    };
    match scenario {
        "remove" => {
            let twin = open_at(&root, durability).await;
            tell("remove", store.remove(&key).await);
            load("load", &store, &key).await;
            tell("remove of a twin", twin.remove(&key).await);
            load("load of a twin", &twin, &key).await;
            tell("remove", store.remove(&key).await);
        }
        "remove again" => tell("remove", store.remove(&key).await),
        "load" => load("load", &store, &key).await,
        "readers" => {
            let held = open_at(&root, Durability::None).await.load(&key).await.unwrap().unwrap();
            tell("remove", store.remove(&key).await);
            tell("refresh", store.refresh(&key, &held).await);
            tell("metadata", store.metadata(&key).await);
            tell("count", store.count().await);
            tell("ids", store.ids(Cursor::START, 10).await.map(|page| page.ids));
            tell("list_owner", store.list_owner("alice").await.map(|listed| listed.len()));
            tell("list_owner", store.list_owner("alice").await.map(|listed| listed.len()));
        }
        "writers" => {
            tell("remove", store.remove(&key).await);
            tell("create", store.create(&key, &record(2), usage()).await);
            tell("update", store.update(&key, &record(2), &version, usage()).await);
            tell("touch", store.touch(&key, usage()).await);
            tell("rename", store.rename(&key, &version, &tombstone(start()), &other, &record(2), usage()).await);
            tell("rename", store.rename(&other, &version, &tombstone(start()), &key, &record(2), usage()).await);
            tell("update", store.update(&key, &record(2), &version, usage()).await);
        }
        "update" => {
            tell("update", store.update(&key, &record(2), &version, usage()).await);
            number_of(&store).await;
            tell("update", store.update(&key, &record(3), &version, usage()).await);
            number_of(&store).await;
            tell("update", store.update(&key, &record(3), &version, usage()).await);
        }
        "create" => {
            tell("create", store.create(&key, &record(2), usage()).await);
            number_of(&store).await;
            tell("create", store.create(&key, &record(2), usage()).await);
            tell("create", store.create(&key, &record(2), usage()).await);
        }
        "rename" | "rename to" => {
            let is_to = scenario == "rename to";
            let rename = async || store.rename(&key, &version, &tombstone(start()), &other, &record(2), usage()).await;
            let done = |outcome: Result<Rename, StoreError>| tell("rename", outcome);
            done(rename().await);
            if is_to {
                kind_of("load of the new", &other).await;
            } else {
                kind_of("load of the old", &key).await;
            }
            done(rename().await);
            kind_of("load of the old", &key).await;
            kind_of("load of the new", &other).await;
        }
        "epoch" => {
            let long = Usage::keep_for(start(), DAY);
            let epoch = store.ensure_epoch("alice", long).await;
            let before = epoch.as_ref().ok().copied();
            tell("ensure_epoch", epoch.map(|_| true));
            tell("renew_epoch", store.renew_epoch("alice", long).await);
            tell("owner_epoch", store.owner_epoch("alice").await);
            tell("renew_epoch", store.renew_epoch("alice", long).await);
            let now = store.owner_epoch("alice").await.unwrap();
            say(if now.is_some() && now != before { "owner_epoch: another" } else { "owner_epoch: the same" });
        }
        "clear" | "delete_idle" => {
            // Unused for a long time, but live.
            let store = FileStore::builder(&root).durability(durability).sweep_interval(None);
            let store = store.clock(session_layer::Clock::manual(start() + HOUR / 2)).open().await.unwrap();
            let sweep = async || match scenario {
                "clear" => store.clear().await,
                _ => store.delete_idle((HOUR / 4).into()).await.map(|swept| swept.deleted),
            };
            tell("first", sweep().await);
            tell("again", sweep().await);
            tell("count", store.count().await);
            tell("again", sweep().await);
        }
        "new shard" => {
            for _ in 0..3 {
                tell("create", store.create(&id(9, 1), &record(1), usage()).await.map(|_| true));
            }
        }
        "mark" => {
            for _ in 0..3 {
                tell("create", store.create(&key, &owned(), usage()).await.map(|_| true));
            }
            tell("list_owner", store.list_owner("alice").await.map(|listed| listed.len()));
        }
        "file" => {
            for _ in 0..2 {
                let update = store.update(&key, &record(2), &version, usage()).await;
                tell("update", update.map(|_| Updated));
                number_of(&store).await;
            }
        }
        "touch" => {
            let later = Usage::at(&record(1), start() + std::time::Duration::from_secs(60));
            let used = async || {
                let stored = store.load(&key).await.unwrap().unwrap();
                say(format!("load: {}", stored.used_at.duration_since(start()).unwrap().as_secs()));
            };
            for _ in 0..2 {
                tell("touch", store.touch(&key, later).await);
                used().await;
            }
        }
        "flush" => {
            let version = store.load(&key).await.unwrap().unwrap().version;
            let version = updated(store.update(&key, &record(1), &version, usage()).await.unwrap());
            let inode = fs::metadata(path_in(&root, &key)).unwrap().ino();
            tell("flush", store.flush().await);
            tell("flush", store.flush().await);
            say(format!("another file: {}", fs::metadata(path_in(&root, &key)).unwrap().ino() != inode));
            number_of(&store).await;
            say(format!("same version: {}", store.load(&key).await.unwrap().unwrap().version == version));
        }
        "flush twice" => {
            updated(store.update(&key, &record(2), &version, usage()).await.unwrap());
            tell("flush", store.flush().await);
            tell("close", store.close().await);
            tell("close", store.close().await);
        }
        other => panic!("no such scenario: {other}"),
    }
}

/// A value whose `Debug` omits the version.
#[derive(Debug)]
struct Updated;

/// The stored version, read by a store that syncs nothing.
async fn read_version(dir: &Path, key: &SessionId) -> session_layer::store::Version {
    open_at(dir, Durability::None).await.load(key).await.unwrap().expect("it is there").version
}
