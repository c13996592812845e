//! What clients send to a server.

use super::{connection::Connection, single::Server};

/// The commands that a server has run since [`Server::monitor`].
pub struct Monitor<'a> {
    pub(super) server: &'a Server,
    pub(super) connection: Connection,
    pub(super) marks: u64,
}

impl Monitor<'_> {
    /// The commands that clients sent since the last call, each in one line: the command's name in upper case, then its
    /// arguments, quoted. Without those that a script ran and without the helpers' own.
    pub fn commands(&mut self) -> Vec<String> {
        let own = format!("unix:{}", self.server.socket().display());
        let lines = self.lines();
        let sent = lines.iter().filter_map(|line| {
            let (client, command) = line.split_once(" [")?.1.split_once("] ")?;
            let from = client.split_once(' ')?.1;
            (from != "lua" && from != own).then(|| {
                let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
                format!("{} {rest}", name.trim_matches('"').to_uppercase()).trim_end().to_owned()
            })
        });
        sent.collect()
    }

    /// Everything that the server has run since the last call, as `MONITOR` writes it.
    pub fn lines(&mut self) -> Vec<String> {
        // The marker comes after everything that the server ran before.
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        self.server.cli(&["ECHO", &mark]);
        let mut lines = Vec::new();
        loop {
            let line = self.connection.reply().expect("a line").text();
            if line.contains(&mark) {
                return lines;
            }
            lines.push(line);
        }
    }
}
