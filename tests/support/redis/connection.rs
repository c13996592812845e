//! Commands to a server, and their replies.

use std::{
    fmt,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use super::single::Server;

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Status(String),
    Error(String),
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Reply {
    /// The text of the answer; that of a list has one line for each element.
    pub fn text(&self) -> String {
        self.to_string()
    }

    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => other.text().parse().unwrap_or_else(|_| panic!("{other:?} is no number")),
        }
    }

    pub fn list(&self) -> &[Reply] {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("{other:?} is no string"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Status(text) | Self::Error(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::List(list) => {
                let lines: Vec<_> = list.iter().map(Reply::text).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// A connection of the helpers.
pub(super) struct Connection(BufReader<UnixStream>);

impl Connection {
    pub(super) fn open(server: &Server) -> std::io::Result<Self> {
        let stream = UnixStream::connect(server.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut connection = Self(BufReader::new(stream));
        if let Some(password) = &server.password {
            connection.ask(&["AUTH", password])?;
        }
        Ok(connection)
    }

    pub(super) fn ask(&mut self, words: &[&str]) -> std::io::Result<Reply> {
        self.send(words)?;
        self.reply()
    }

    pub(super) fn send(&mut self, words: &[&str]) -> std::io::Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.0.get_mut().write_all(&bytes)
    }

    pub(super) fn reply(&mut self) -> std::io::Result<Reply> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let Some(kind) = line.chars().next() else { return Err(std::io::ErrorKind::UnexpectedEof.into()) };
        let rest = &line[1..];
        let number = || rest.parse::<i64>().map_err(|error| std::io::Error::other(format!("{line:?}: {error}")));
        Ok(match kind {
            '+' => Reply::Status(rest.to_owned()),
            '-' => Reply::Error(rest.to_owned()),
            ':' => Reply::Number(number()?),
            '$' | '*' if number()? < 0 => Reply::Nil,
            '$' => {
                let length = usize::try_from(number()?).map_err(std::io::Error::other)?;
                let mut bytes = vec![0; length + 2];
                std::io::Read::read_exact(&mut self.0, &mut bytes)?;
                bytes.truncate(length);
                Reply::Bytes(bytes)
            }
            '*' => Reply::List((0..number()?).map(|_| self.reply()).collect::<std::io::Result<_>>()?),
            _ => return Err(std::io::Error::other(format!("{line:?} is no reply"))),
        })
    }
}
