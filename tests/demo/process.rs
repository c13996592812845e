//! The demo as a process.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::OnceLock,
    time::SystemTime,
};

use tempfile::NamedTempFile;

/// A demo on its own port. Dropping it kills it, and asserts that it never panicked.
pub(crate) struct Demo {
    child: Child,
    log: NamedTempFile,
    pub(crate) address: SocketAddr,
}

impl Demo {
    /// A demo whose cookie works over plain HTTP.
    pub(crate) fn plain() -> Self {
        Self::start(&["--plain-http"])
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = command(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            // The output goes to a file: nobody reads a pipe during the test, and a full one would stop the demo.
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            panic!("{arguments:?}: it printed {line:?}\n{}", fs::read_to_string(log.path()).unwrap())
        });
        Self { child, log, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Waits until the log contains these words this many times, as a barrier for requests.
    pub(crate) async fn until(&self, words: &str, times: usize) {
        while self.log().matches(words).count() < times {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell has its own `kill`, so nothing needs to be installed.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends a signal and waits for the exit.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(self.log().contains("the store is closed"), "{}", self.log());
    }
}

impl Drop for Demo {
    #[allow(clippy::print_stderr, reason = "beside the test's failure, where the harness shows it")]
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the demo's log:\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the demo panicked:\n{log}");
        }
    }
}

/// Runs a demo that is expected to exit by itself.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    // At the most verbose level, so that a token in the log is found.
    command.args(arguments).env("RUST_LOG", "info,session_layer=trace,demo=trace").stdin(Stdio::null());
    command
}

/// The example's program. `cargo test` builds it; if only this test was requested, it is built here.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // target/PROFILE/deps/demo-HASH
        let test = env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let program = profile.join("examples").join(format!("demo{}", env::consts::EXE_SUFFIX));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = ["src", "examples/demo", "Cargo.toml"].map(|name| newest(&root.join(name)));
        if modified(&program).is_none_or(|built| sources.iter().any(|changed| *changed > built)) {
            build(root, profile);
        }
        program
    })
}

fn build(root: &Path, profile: &Path) {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["build", "--example", "demo", "--target-dir"]).arg(profile.parent().unwrap());
    // As the tests were built: with all features or with those of the dev-dependency.
    if cfg!(feature = "redis") {
        command.arg("--all-features");
    }
    if profile.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn modified(path: &Path) -> Option<SystemTime> {
    File::open(path).and_then(|file| file.metadata()?.modified()).ok()
}

/// Returns the time of the latest change at or below this path.
fn newest(path: &Path) -> SystemTime {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| newest(&entry.unwrap().path()));
        return entries.max().unwrap_or(SystemTime::UNIX_EPOCH);
    }
    modified(path).unwrap()
}
