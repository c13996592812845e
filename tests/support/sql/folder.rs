//! A server's temporary folder.
//!
//! Values in a `static` are never dropped, and no value is if the test's process is killed. So a shell outside the
//! process waits for the end of its standard input, whose other end only the process holds. Then it ends the server
//! whose process id is in the folder's file `pid.server`, and removes the folder. It asks the server to shut down
//! before it kills it: a killed PostgreSQL leaves a shared memory segment behind.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
};

const WATCH: &str = r#"
trap '' INT TERM HUP QUIT
cat >/dev/null
for pid in $(cat "$1/pid.server" 2>/dev/null); do
    kill -CONT "$pid" && kill -QUIT "$pid"
    left=100
    while kill -0 "$pid" && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
    kill -KILL "$pid"
done 2>/dev/null
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

pub(super) struct Folder {
    path: PathBuf,
    shell: Child,
    alive: Option<ChildStdin>,
}

impl Folder {
    /// A folder in the system's folder for temporary files.
    pub(super) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A folder in this parent, such as a small disk.
    pub(super) fn within(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("session-layer-sql-").tempdir_in(parent).expect("a folder");
        let path = folder.keep();
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh"]).arg(&path).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().expect("a shell");
        let alive = shell.stdin.take();
        if let Some((user, group)) = nobody() {
            chown(&path, Some(user), Some(group)).expect("root may give a folder away");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its own folder");
        }
        Self { path, shell, alive }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the process id of the server that is ended when this process ends.
    pub(super) fn set_process(&self, id: Option<u32>) {
        let text = id.map(|id| id.to_string()).unwrap_or_default();
        // The disk may be full.
        let _ = fs::write(self.path.join("pid.server"), text);
    }

    /// Writes a file that the servers can read.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).expect("a file in its folder");
        if let Some((user, group)) = nobody() {
            chown(&path, Some(user), Some(group)).expect("root may give a file away");
        }
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.alive.take();
        let _ = self.shell.wait();
    }
}

/// A command that runs as the servers' user.
pub(super) fn unprivileged(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if let Some((user, group)) = nobody() {
        command.uid(user).gid(group);
    }
    // The user may have no access to the current folder of the tests.
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// The user and the group of the servers, if the tests run as root.
fn nobody() -> Option<(u32, u32)> {
    static NOBODY: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *NOBODY.get_or_init(|| {
        let own = tempfile::tempfile().and_then(|file| file.metadata()).expect("a temporary file").uid();
        (own == 0).then(|| (id("-u"), id("-g")))
    })
}

fn id(option: &str) -> u32 {
    let output = Command::new("id").args([option, "nobody"]).output();
    let number = output.map_err(|error| error.to_string()).and_then(|output| {
        String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| io::Error::last_os_error().to_string())
    });
    number.expect("the tests run as root, and database servers don't: there is no user `nobody` to run them")
}
