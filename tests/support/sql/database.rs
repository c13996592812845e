//! A PostgreSQL or MariaDB server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    folder::{Folder, unprivileged},
    process::{PATIENCE, Process, accepts},
    programs,
    shared::free_port,
};

/// The password of every user that the tests create with a password.
pub const PASSWORD: &str = "a password";

/// The product that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Postgres,
    MariaDb,
}

/// The options for starting a server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Command-line arguments, such as `["-c", "log_statement=all"]` or `["--general-log"]`.
    pub arguments: &'a [&'a str],
    /// The offset of its clock, such as `+3600s`, set by libfaketime.
    pub clock: Option<&'a str>,
    /// The parent of its folder, such as a small disk. Default: the system's folder for temporary files.
    pub parent: Option<&'a Path>,
}

/// A running server.
///
/// A write survives if the server is killed, but not if the machine is: nothing is synced, since the tests write more
/// than a disk can sync.
pub struct Server {
    product: Product,
    process: Option<Process>,
    port: u16,
    folder: Folder,
    arguments: Vec<String>,
    clock: Option<String>,
}

impl Product {
    pub const ALL: [Self; 2] = [Self::Postgres, Self::MariaDb];

    /// The superuser, who needs no password on this machine.
    fn superuser(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "tests",
        }
    }

    /// The database that every server has.
    fn database(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mysql",
        }
    }

    /// The folder `data` of a new server. Initializing one takes seconds, so it is done once and servers get copies.
    fn template(self) -> &'static Path {
        static POSTGRES: OnceLock<Folder> = OnceLock::new();
        static MARIADB: OnceLock<Folder> = OnceLock::new();
        let template = match self {
            Self::Postgres => &POSTGRES,
            Self::MariaDb => &MARIADB,
        };
        template.get_or_init(|| self.initialized()).path()
    }

    fn initialized(self) -> Folder {
        let folder = Folder::new();
        let data = folder.path().join("data");
        match self {
            Self::Postgres => {
                let mut command = unprivileged(programs::postgres("initdb"));
                command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale", "-U", "postgres", "-D"]);
                run(command.arg(&data));
                // Members of this group need a password.
                let rules = "local all all trust\nhost all +with_password all scram-sha-256\nhost all all all trust\n";
                folder.write("data/pg_hba.conf", rules);
            }
            Self::MariaDb => {
                let mut command = unprivileged(programs::other("mariadb-install-db"));
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                run(command.arg(format!("--datadir={}", data.display())).arg("--force"));
            }
        }
        folder
    }
}

impl Server {
    /// The server that the tests of this process share. Use [`Server::database`] to get a separate database.
    pub fn shared(product: Product) -> &'static Self {
        static POSTGRES: OnceLock<Server> = OnceLock::new();
        static MARIADB: OnceLock<Server> = OnceLock::new();
        let shared = match product {
            Product::Postgres => &POSTGRES,
            Product::MariaDb => &MARIADB,
        };
        shared.get_or_init(|| Self::start(product, &[]))
    }

    /// Starts a separate server with these command-line arguments.
    pub fn start(product: Product, arguments: &[&str]) -> Self {
        Self::start_with(product, Setup { arguments, ..Setup::default() })
    }

    /// Starts a separate server.
    pub fn start_with(product: Product, setup: Setup<'_>) -> Self {
        let folder = setup.parent.map_or_else(Folder::new, Folder::within);
        run(unprivileged("cp").arg("-a").arg(product.template().join("data")).arg(folder.path()));
        let arguments = setup.arguments.iter().map(ToString::to_string).collect();
        let clock = setup.clock.map(ToOwned::to_owned);
        let mut server = Self { product, process: None, port: 0, folder, arguments, clock };
        // Another process may take the port before it is used.
        for _ in 0..20 {
            server.port = free_port();
            if server.try_start() {
                server.prepare();
                return server;
            }
        }
        panic!("{product:?} does not start with {setup:?}:\n{}", server.log());
    }

    fn try_start(&mut self) -> bool {
        let mut command = match self.product {
            Product::Postgres => self.postgres(),
            Product::MariaDb => self.mariadb(),
        };
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", programs::faketime()).env("FAKETIME", clock);
            // Time limits use the real clock.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        }
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        command.args(&self.arguments).stdout(log.try_clone().expect("a file")).stderr(log);
        // Another process may be listening on the same port, so only an answer through the socket counts.
        let serves = || accepts(self.port) && self.try_sql(self.product.database(), "SELECT 1").is_ok();
        let process = Process::start(command, &self.folder, serves);
        self.process = process;
        self.process.is_some()
    }

    fn postgres(&self) -> Command {
        let mut command = unprivileged(programs::postgres("postgres"));
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"]);
        command.arg(self.folder.path());
        for setting in [
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=32MB",
            "max_connections=800",
            "autovacuum_naptime=5s",
            "log_line_prefix=%m [%p] %a ",
        ] {
            command.args(["-c", setting]);
        }
        command
    }

    fn mariadb(&self) -> Command {
        let mut command = unprivileged(programs::other("mariadbd"));
        command.arg("--no-defaults").arg(format!("--datadir={}", self.data().display()));
        command.arg(format!("--port={}", self.port)).arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--pid-file={}", self.folder.path().join("pid").display()));
        command.arg(format!("--tmpdir={}", self.folder.path().display()));
        command.args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--max-connections=800",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
        ]);
        command
    }

    /// Creates the users and roles that the tests need, after the first start.
    fn prepare(&self) {
        match self.product {
            Product::Postgres => drop(self.sql("postgres", "CREATE ROLE with_password")),
            Product::MariaDb => {
                let grant = "CREATE USER IF NOT EXISTS tests@'%'; GRANT ALL ON *.* TO tests@'%' WITH GRANT OPTION";
                self.sql("mysql", grant);
            }
        }
    }

    pub fn product(&self) -> Product {
        self.product
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its data, which a restart keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The path of its Unix socket.
    pub fn socket(&self) -> PathBuf {
        let name = match self.product {
            Product::Postgres => format!(".s.PGSQL.{}", self.port),
            Product::MariaDb => "socket".to_owned(),
        };
        self.folder.path().join(name)
    }

    /// Creates an empty database and returns its name, which nothing else uses.
    pub fn database(&self) -> String {
        let name = fresh_name("db");
        self.sql(self.product.database(), &format!("CREATE DATABASE {name}"));
        name
    }

    /// The URL of a database, for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.port, self.product.superuser(), database)
    }

    /// The URL of a database for a user, with a password if the user has one: `name` or `name:password`.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        self.url_at(self.port, user, database)
    }

    /// The same through another port, such as a proxy's.
    pub fn url_at(&self, port: u16, user: &str, database: &str) -> String {
        let scheme = match self.product {
            Product::Postgres => "postgres",
            Product::MariaDb => "mysql",
        };
        format!("{scheme}://{}@127.0.0.1:{port}/{database}", user.replace(' ', "%20"))
    }

    /// Runs statements as superuser, and returns the rows: a line each, with tabs between the columns. Panics if the
    /// server refuses one.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}\n{}", self.log()))
    }

    /// Runs statements as superuser. Returns an error if the server refuses one or doesn't answer.
    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut command = self.client(database);
        match self.product {
            Product::Postgres => {
                command.args(["-q", "-v", "ON_ERROR_STOP=1", "-A", "-t", "-F", "\t", "-c", statements])
            }
            Product::MariaDb => command.args(["--batch", "--skip-column-names", "-e", statements]),
        };
        let output = command.output().expect("the client starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The server's own client, as superuser through the Unix socket: for a session that stays open, such as one that
    /// holds a lock.
    pub fn client(&self, database: &str) -> Command {
        let superuser = self.product.superuser();
        let mut command;
        match self.product {
            Product::Postgres => {
                command = unprivileged(programs::postgres("psql"));
                command.arg("-X").arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string()]);
                command.args(["-U", superuser, "-d", database]).env("PGCONNECT_TIMEOUT", "20");
            }
            Product::MariaDb => {
                command = unprivileged(programs::other("mariadb"));
                // The user `tests` is created through the account that every new server has.
                command.arg("--no-defaults").arg(format!("--socket={}", self.socket().display()));
                command.args(["-u", "root", "--connect-timeout=20", database]);
            }
        }
        command.env("PGAPPNAME", "helper");
        command
    }

    /// Its log since it was first started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops all its processes with SIGSTOP: it accepts connections and answers nothing.
    pub fn stop(&self) {
        self.running().signal_all("-STOP");
    }

    /// Resumes them with SIGCONT.
    pub fn resume(&self) {
        self.running().signal_all("-CONT");
    }

    /// Kills all its processes with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill(&self.folder);
        }
    }

    /// Shuts it down as an administrator does: it closes its connections and tells its clients.
    pub fn shut_down(&mut self) {
        if let Some(process) = self.process.take() {
            let signal = match self.product {
                Product::Postgres => "-INT",
                Product::MariaDb => "-TERM",
            };
            process.end(signal, &self.folder);
        }
    }

    /// Starts it again at the same address, with its data; kills it first if it runs.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts it again, with these additional arguments.
    pub fn restart_with(&mut self, arguments: &[&str]) {
        self.kill();
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("{:?} does not start again at port {} within {PATIENCE:?}:\n{}", self.product, self.port, self.log());
    }

    /// The process id of the server.
    pub fn process(&self) -> u32 {
        self.running().id()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // Ends it at once, but so that it frees its shared memory, which would outlive a kill.
            process.end("-QUIT", &self.folder);
        }
    }
}

/// A name for a database, schema, table or user that nothing else in this process uses.
pub fn fresh_name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
}
