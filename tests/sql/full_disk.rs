//! A full disk: a small real file system, mounted in the child process's mount namespace, so that nothing stays
//! mounted. If the kernel allows unprivileged user namespaces (`unshare --map-root-user`), no superuser is needed.
#![cfg(target_os = "linux")]

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    time::Duration,
};

use session_layer::{SessionId, SessionStore, store::StoreErrorKind};

use crate::{
    server::{Product, Server, Setup},
    support::*,
};

const DISK: &str = "SESSION_LAYER_SMALL_DISK";

/// Runs a test on a small disk. If the variable `DISK` is not set, mounts the disk and restarts the test in a child
/// process with it.
fn on_a_small_disk(test: &str, run: impl AsyncFnOnce(&Path)) {
    if let Ok(disk) = env::var(DISK) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        return runtime.block_on(run(Path::new(&disk)));
    }
    let disk = tempfile::tempdir().unwrap();
    let superuser = std::os::unix::fs::MetadataExt::uid(&tempfile::tempfile().unwrap().metadata().unwrap()) == 0;
    let script = format!("mount -t tmpfs -o size=200m,mode=755 tmpfs {} && exec \"$@\"", disk.path().display());
    let mut command = Command::new("unshare");
    // PostgreSQL refuses to run as a user that appears to be root.
    let other = "exec unshare --user --map-user=1000 --map-group=1000 --";
    let script = if superuser { script } else { script.replace("exec", other) };
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

/// Fills the disk, except for this number of bytes.
fn fill(disk: &Path, leave: u64) -> File {
    let mut filler = File::create(disk.join("filler")).unwrap();
    let block = vec![7; 64 * 1_024];
    while filler.write_all(&block).is_ok() {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length.saturating_sub(leave)).unwrap();
    filler
}

async fn fills_up(disk: &Path, product: Product) {
    let mut server = Server::start_with(product, Setup { parent: Some(disk), ..Setup::default() });
    let url = format!("{}?create=yes&timeout_ms=5000", server.url(&server.database()));
    let store = open(&url).await;
    let mut stored: Vec<SessionId> = Vec::new();
    let large = record(&vec![7; 100_000]);
    for _ in 0..5 {
        stored.push(id());
        created(&store, stored.last().unwrap(), &large).await;
    }
    let filler = fill(disk, 1_000_000);
    let mut refusals = Vec::new();
    for _ in 0..400 {
        let id = id();
        // Incompressible bytes.
        let bytes: Vec<u8> = (0..12_500).flat_map(|_| random().to_le_bytes()).collect();
        let next = record(&bytes);
        match store.create(&id, &next, usage(&next)).await {
            Ok(_) => stored.push(id),
            Err(error) => {
                let kind = error.kind();
                let expected = [StoreErrorKind::Unavailable, StoreErrorKind::OutcomeUnknown, StoreErrorKind::Timeout];
                assert!(expected.contains(&kind), "{product:?}: {error:?}: {:?}", error.source());
                refusals.push((kind, error.source().map(ToString::to_string).unwrap_or_default()));
                if refusals.len() == 5 {
                    break;
                }
            }
        }
    }
    assert!(!refusals.is_empty(), "{product:?}: the disk is not full");
    eprintln!("{product:?}: {} sessions were stored, then {refusals:#?}", stored.len());
    // There is room again. The server may have ended: PostgreSQL does if it can't write its log.
    filler.set_len(0).unwrap();
    drop(filler);
    let (probe, first) = (id(), numbered(1));
    let mut restarted = false;
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while let Err(error) = store.create(&probe, &first, usage(&first)).await {
        assert!(std::time::Instant::now() < limit, "{product:?}: {error:?} {:?}\n{}", error.source(), server.log());
        if !restarted && server.try_sql("mysql", "SELECT 1").is_err() && server.try_sql("postgres", "SELECT 1").is_err()
        {
            server.restart();
            restarted = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for id in &stored {
        assert!(store.load(id).await.unwrap().is_some(), "{product:?}: an acknowledged session is lost");
    }
    drop(server);
}

#[test]
fn a_full_disk_loses_nothing_on_postgres() {
    on_a_small_disk("a_full_disk_loses_nothing_on_postgres", async |disk| fills_up(disk, Product::Postgres).await);
}

#[test]
fn a_full_disk_loses_nothing_on_mariadb() {
    on_a_small_disk("a_full_disk_loses_nothing_on_mariadb", async |disk| fills_up(disk, Product::MariaDb).await);
}
