//! Full, read-only and vanished disks, too few file descriptors, lost access: an error, never "absent", and the store
//! recovers.
//!
//! The full and read-only file systems are real ones, mounted in the child's own mount namespace, so nothing stays
//! mounted. No superuser is needed where the kernel gives users namespaces (`unshare --map-root-user`).

use std::{fs, os::unix::fs::MetadataExt, os::unix::process::CommandExt, path::Path, process::Command};

use session_layer::{
    SessionStore,
    store::{Clearing, Listing, Owners, StoreErrorKind},
};

use crate::{child, support::*};

fn is_superuser() -> bool {
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

/// Runs a child after a mount command in its own namespaces.
fn run_mounted(role: &str, dir: &Path, mount: &str) -> Vec<String> {
    let script = format!("{mount} && exec \"$@\"");
    let mut prefix = vec!["unshare", "--mount"];
    if !is_superuser() {
        prefix.push("--map-root-user");
    }
    let possible = Command::new("unshare").args(&prefix[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let possible = possible.expect("these tests need `unshare` (util-linux)");
    assert!(
        possible.status.success(),
        "these tests mount small file systems in a namespace of their own, and this system does not allow it ({}); \
         run them as root, in a container with CAP_SYS_ADMIN, or where unprivileged user namespaces are allowed",
        String::from_utf8_lossy(&possible.stderr).trim(),
    );
    prefix.extend(["sh", "-c", &script, "sh"]);
    child::run(child::prefixed(&prefix, &std::env::current_exe().unwrap(), role, dir, ""))
}

#[test]
fn a_full_disk_keeps_stored_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=1m,mode=700 tmpfs {}", dir.path().display());
    let said = run_mounted("fill", dir.path(), &mount);
    assert!(said[0].starts_with("filled "), "{said:?}");
}

#[test]
fn a_read_only_disk_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let said = run_mounted("read_only", dir.path(), &format!("mount --bind {path} {path}"));
    assert_eq!(said, ["done"]);
}

#[test]
fn too_many_open_files_is_an_error_and_never_absent() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = ["sh", "-c", "ulimit -n 40 && exec \"$@\"", "sh"];
    let said = child::run(child::prefixed(&prefix, &std::env::current_exe().unwrap(), "few_files", dir.path(), ""));
    assert_eq!(said, ["needs 3"], "the lock, the record that is read, and the one that is written");
}

#[test]
fn lost_access_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // The child must be able to reach its directory and its program.
    let exe = dir.path().join("child");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let set = |mode| fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    set(0o777);
    let mut command = child::prefixed(&[], &exe, "unprivileged", dir.path(), "");
    if is_superuser() {
        command.uid(65_534).gid(65_534);
    }
    assert_eq!(child::run(command), ["done"]);
    set(0o700);
}

/// The directory disappears and comes back, or is emptied by hand, which is a way to clear it.
#[tokio::test]
async fn a_vanished_directory_is_an_error_and_never_absent() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, away) = (parent.path().join("sessions"), parent.path().join("away"));
    fs::create_dir(&dir).unwrap();
    let store = open(&dir, &session_layer::Clock::manual(start())).await;
    let version = create(&store, &id(1, 1), 1).await;

    fs::rename(&dir, &away).unwrap();
    let errors = [
        store.load(&id(1, 1)).await.map(drop),
        store.load(&id(9, 9)).await.map(drop),
        store.create(&id(2, 2), &record(2), usage()).await.map(drop),
        store.update(&id(1, 1), &record(2), &version, usage()).await.map(drop),
        store.touch(&id(1, 1), usage()).await.map(drop),
        store.remove(&id(1, 1)).await.map(drop),
        store.count().await.map(drop),
        store.sweep().await.map(drop),
        store.list_owner("alice").await.map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(format!("{error:?}").contains(dir.to_str().unwrap()), "{error:?}");
    }
    assert!(!dir.exists(), "it is not made anew: a disk may only be unmounted");

    fs::rename(&away, &dir).unwrap();
    updated(store.update(&id(1, 1), &record(2), &version, usage()).await.unwrap());

    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    assert!(store.load(&id(1, 1)).await.unwrap().is_none());
    create(&store, &id(1, 1), 3).await;
}

/// Another user's file, or another user's directory, is not used.
#[tokio::test]
async fn files_of_other_owners_are_left_alone() {
    if !is_superuser() {
        // Without the right to change a file's owner, one foreign directory is left to test with: the system's own.
        let error = session_layer::FileStore::open("/etc").await.unwrap_err();
        assert!(error.to_string().contains("/etc"), "{error}");
        return;
    }
    let fixture = Fixture::new().await;
    let (foreign, mine) = (id(1, 1), id(1, 2));
    fixture.create(&foreign, 1).await;
    fixture.create(&mine, 2).await;
    let path = path_of(&fixture.store, &foreign);
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    let bytes = fs::read(&path).unwrap();
    for error in [
        fixture.store.load(&foreign).await.map(drop),
        fixture.store.create(&foreign, &record(1), usage()).await.map(drop),
        fixture.store.remove(&foreign).await.map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(format!("{error:?}").contains("another user"), "{error:?}");
    }
    assert_eq!(fixture.store.clear().await.unwrap(), 1);
    assert_eq!(fs::read(&path).unwrap(), bytes);

    std::os::unix::fs::chown(fixture.dir.path().join("owners"), Some(65_534), None).unwrap();
    let error = session_layer::FileStore::open(fixture.dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("run every process that uses the store as the same user"), "{error}");
}
