//! A full disk: a real small file system, mounted in the child's own namespace, so that nothing stays mounted. No
//! superuser is needed where the kernel gives users namespaces (`unshare --map-root-user`).
#![cfg(target_os = "linux")]

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    time::Duration,
};

use session_layer::{SessionStore, store::StoreErrorKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
};

use super::support::{after_a_crash, clock, create, id, record, with_snapshots};

const DISK: &str = "SESSION_LAYER_SMALL_DISK";

#[test]
fn a_full_disk_keeps_the_last_snapshot_and_forgets_no_removal() {
    on_a_small_disk("a_full_disk_keeps_the_last_snapshot_and_forgets_no_removal", async |disk| {
        a_full_disk_comes_and_goes(disk).await;
    });
}

#[test]
fn thousands_of_removals_that_a_full_disk_refuses_are_written_once_when_there_is_space() {
    on_a_small_disk(
        "thousands_of_removals_that_a_full_disk_refuses_are_written_once_when_there_is_space",
        async |disk| {
            thousands_are_refused(disk).await;
        },
    );
}

/// Runs a test on a small disk. If the variable is not set, mounts the disk and starts the test again with the
/// variable.
fn on_a_small_disk(test: &str, run: impl AsyncFnOnce(&Path)) {
    if let Ok(disk) = env::var(DISK) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        return runtime.block_on(run(Path::new(&disk)));
    }
    let disk = tempfile::tempdir().unwrap();
    let superuser = tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0;
    let script = format!("mount -t tmpfs -o size=4m,mode=700 tmpfs {} && exec \"$@\"", disk.path().display());
    let mut command = Command::new("unshare");
    command.arg("--mount").args((!superuser).then_some("--map-root-user")).args(["sh", "-c", &script, "sh"]);
    command.arg(env::current_exe().unwrap());
    command.args(["--exact", &format!("full_disk::{test}"), "--nocapture"]);
    let output = command.env(DISK, disk.path()).output().expect("this test needs `unshare` (util-linux)");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "run this test as root, in a container with CAP_SYS_ADMIN, or where unprivileged user namespaces are allowed:\n\
         {out}\n{err}"
    );
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "it was the small disk that was written to");
}

async fn a_full_disk_comes_and_goes(disk: &Path) {
    let mut events = Events::listen();
    let (path, other) = (disk.join("sessions"), disk.join("others"));
    let clock = clock();
    let store = with_snapshots(&path, &clock).snapshot_interval(Duration::from_secs(86_400)).open().unwrap();
    let names: Vec<_> = (0..1_000).map(|number| format!("{number}")).collect();
    for name in &names {
        create(&store, &id(name), &record(&clock, None), &clock).await;
    }
    store.flush().await.unwrap();
    let good = fs::read(&path).unwrap();
    // Another store, whose snapshot interval is very short.
    let busy = with_snapshots(&other, &clock).snapshot_interval(Duration::from_millis(5)).open().unwrap();
    create(&busy, &id("busy"), &record(&clock, None), &clock).await;
    events.next(&other, Level::DEBUG, "snapshot written").await;

    let ballast = disk.join("ballast");
    fill(&ballast);
    let error = store.flush().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    events.next(&path, Level::ERROR, "the snapshot could not be written").await;
    assert!(fs::read(&path).unwrap() == good, "the last good one stays");
    assert!(!disk.join("sessions.tmp").exists(), "and what was begun is gone");
    // The next interval tries again, and so does the one after it.
    for _ in 0..2 {
        events.next(&other, Level::ERROR, "the snapshot could not be written").await;
    }

    // The journal has room in its last page. After that a removal takes effect and reports that it could not be
    // recorded.
    let mut removals = names.iter();
    let unwritten = loop {
        let name = removals.next().expect("a page holds a hundred lines");
        match store.remove(&id(name)).await {
            Ok(removed) => assert!(removed),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error:?}");
                break name;
            }
        }
    };
    events.next(&disk.join("sessions.journal"), Level::ERROR, "the removal journal could not be written").await;
    assert!(store.load(&id(unwritten)).await.unwrap().is_none());
    assert!(store.load(&id(names.last().unwrap())).await.unwrap().is_some(), "requests go on");

    fs::remove_file(ballast).unwrap();
    let next = removals.next().unwrap();
    assert!(store.remove(&id(next)).await.unwrap());
    let (_folder, restarted) = after_a_crash(&path, &clock);
    let left = removals.len();
    assert_eq!(restarted.restored().sessions, left as u64);
    for gone in [&names[0], unwritten, next] {
        assert!(restarted.load(&id(gone)).await.unwrap().is_none(), "{gone}");
    }
    events.next(&other, Level::DEBUG, "snapshot written").await;
    store.flush().await.unwrap();
    assert!(fs::read(&path).unwrap() != good);
    busy.close().await.unwrap();
    store.close().await.unwrap();
}

/// Each refused removal takes effect and is answered as unknown. A test in `scribe` covers the cost of the attempts.
async fn thousands_are_refused(disk: &Path) {
    let path = disk.join("sessions");
    let clock = clock();
    let store = with_snapshots(&path, &clock).snapshot_interval(Duration::from_secs(86_400)).open().unwrap();
    let names: Vec<_> = (0..8_001).map(|number| format!("{number}")).collect();
    for name in &names {
        create(&store, &id(name), &record(&clock, None), &clock).await;
    }
    store.flush().await.unwrap();
    let ballast = disk.join("ballast");
    fill(&ballast);
    let (last, names) = names.split_last().unwrap();
    let (mut written, mut refused) = (0, 0);
    for name in names {
        match store.remove(&id(name)).await {
            // There was space left in the journal's last page.
            Ok(true) if refused == 0 => written += 1,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => refused += 1,
            other => panic!("{name}: {other:?} after {refused} that were refused"),
        }
        assert!(store.load(&id(name)).await.unwrap().is_none(), "{name} was removed");
    }
    assert!(written < 200 && refused > 7_800, "{written} written, {refused} refused");
    // A repeated removal is refused again: it is not certain that the session is absent after a crash.
    store.remove(&id(&names[4_000])).await.unwrap_err();

    fs::remove_file(ballast).unwrap();
    assert!(store.remove(&id(last)).await.unwrap());
    let (_folder, restarted) = after_a_crash(&path, &clock);
    assert_eq!((restarted.restored().sessions, restarted.restored().removed), (0, 8_001));
    const HEAD: u64 = 20;
    const LINE: u64 = 37;
    let journal = fs::metadata(disk.join("sessions.journal")).unwrap().len();
    assert_eq!(journal, HEAD + 8_002 * LINE, "each line once: 8,001 removals and the repeated one");
    store.close().await.unwrap();
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    loop {
        match file.write(&[b'x'; 4_096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The events of this process.
struct Events(UnboundedReceiver<(Level, String)>);

struct Teller(UnboundedSender<(Level, String)>);

struct Text(String);

impl Events {
    fn listen() -> Self {
        let (tell, told) = unbounded_channel();
        tracing::subscriber::set_global_default(Teller(tell)).unwrap();
        Self(told)
    }

    /// Waits for the next event of this kind about this path.
    async fn next(&mut self, path: &Path, level: Level, what: &str) {
        let path = format!(" path={} ", path.display());
        loop {
            let (of, text) = self.0.recv().await.unwrap();
            if of == level && text.contains(what) && text.contains(&path) {
                return;
            }
        }
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "session_layer::store::memory"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let _ = self.0.send((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
