//! A disk that is full for real: a small file system, mounted in a namespace of a child's own, so that nothing stays
//! mounted. It needs no superuser where the kernel lets users have namespaces (`unshare --map-root-user`).
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

use session_layer::{SessionStore, StoreErrorKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Values},
};

use super::support::{after_a_crash, clock, create, id, record, with_snapshots};

const DISK: &str = "SESSION_LAYER_SMALL_DISK";

/// Without the variable it starts itself on a small disk.
#[test]
fn a_full_disk_keeps_the_last_snapshot_and_forgets_no_removal() {
    if let Ok(disk) = env::var(DISK) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        return runtime.block_on(on_the_small_disk(Path::new(&disk)));
    }
    let disk = tempfile::tempdir().unwrap();
    let superuser = tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0;
    let script = format!("mount -t tmpfs -o size=1m,mode=700 tmpfs {} && exec \"$@\"", disk.path().display());
    let mut command = Command::new("unshare");
    command.arg("--mount").args((!superuser).then_some("--map-root-user")).args(["sh", "-c", &script, "sh"]);
    command.arg(env::current_exe().unwrap());
    command.args(["--exact", "full_disk::a_full_disk_keeps_the_last_snapshot_and_forgets_no_removal", "--nocapture"]);
    let output = command.env(DISK, disk.path()).output().expect("this test needs `unshare` (util-linux)");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "run this test as root, in a container with CAP_SYS_ADMIN, or where unprivileged user namespaces are allowed:\n\
         {out}\n{err}"
    );
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "it was the small disk that was written to");
}

async fn on_the_small_disk(disk: &Path) {
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
    // Another, whose interval comes all the time.
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
    // The interval tries again, and again.
    for _ in 0..2 {
        events.next(&other, Level::ERROR, "the snapshot could not be written").await;
    }

    // The journal has room in its last page; then a removal takes effect and says that it could not be written down.
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
    assert!(!store.contains(&id(unwritten)).await.unwrap());
    assert!(store.contains(&id(names.last().unwrap())).await.unwrap(), "requests go on");

    fs::remove_file(ballast).unwrap();
    let next = removals.next().unwrap();
    assert!(store.remove(&id(next)).await.unwrap());
    let (_folder, restarted) = after_a_crash(&path, &clock);
    let left = removals.len();
    assert_eq!(restarted.restored().sessions, left as u64);
    for gone in [&names[0], unwritten, next] {
        assert!(!restarted.contains(&id(gone)).await.unwrap(), "{gone}");
    }
    events.next(&other, Level::DEBUG, "snapshot written").await;
    store.flush().await.unwrap();
    assert!(fs::read(&path).unwrap() != good);
    busy.close().await.unwrap();
    store.close().await.unwrap();
}

/// Writes until there is no room.
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

/// The events of this process, as they come.
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
