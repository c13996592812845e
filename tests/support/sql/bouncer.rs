//! PgBouncer in front of a PostgreSQL server.

use std::{fmt::Write as _, fs};

use super::{
    database::{PASSWORD, Product, Server},
    folder::{Folder, unprivileged},
    process::{Process, accepts},
    programs,
    shared::free_port,
};

/// A running PgBouncer, in transaction mode.
///
/// It has two server connections for each user and database, so that clients share them: if one leaves something behind
/// on a connection, such as a prepared statement, another one encounters it.
pub struct Bouncer {
    process: Option<Process>,
    port: u16,
    server: u16,
    folder: Folder,
    settings: Vec<String>,
}

impl Bouncer {
    /// Starts PgBouncer in front of this server, with additional lines of settings, such as `default_pool_size = 20`.
    pub fn start(server: &Server, settings: &[&str]) -> Self {
        assert_eq!(server.product(), Product::Postgres);
        Self::start_at(server.port(), settings)
    }

    /// The same, in front of this port, which can be that of a proxy to a server.
    pub fn start_at(server: u16, settings: &[&str]) -> Self {
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut bouncer = Self { process: None, port: 0, server, folder: Folder::new(), settings };
        for _ in 0..20 {
            bouncer.port = free_port();
            if bouncer.try_start() {
                return bouncer;
            }
        }
        panic!("PgBouncer does not start:\n{}", bouncer.log());
    }

    fn try_start(&mut self) -> bool {
        let folder = self.folder.path().display();
        let users = self.folder.write("users", &format!("\"postgres\" \"{PASSWORD}\"\n"));
        let (port, server) = (self.port, self.server);
        let mut settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={server}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             logfile = {folder}/log\n\
             pidfile = {folder}/pid\n\
             auth_type = trust\n\
             auth_file = {}\n\
             admin_users = postgres\n\
             pool_mode = transaction\n\
             default_pool_size = 2\n\
             max_client_conn = 2000\n\
             max_db_connections = 0\n",
            users.display(),
        );
        for line in &self.settings {
            writeln!(settings, "{line}").expect("text");
        }
        let file = self.folder.write("settings", &settings);
        let mut command = unprivileged(programs::other("pgbouncer"));
        command.arg("-q").arg(file);
        self.process = Process::start(command, &self.folder, || accepts(port));
        self.process.is_some()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Stops the process with SIGSTOP.
    pub fn stop(&self) {
        self.process.as_ref().expect("it runs").signal_all("-STOP");
    }

    /// Resumes it with SIGCONT.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal_all("-CONT");
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill(&self.folder);
        }
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("PgBouncer does not start again at port {}:\n{}", self.port, self.log());
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.kill();
    }
}
