//! A multiplexed connection of redis-rs, with nothing around it.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Value, aio::MultiplexedConnection};

use super::tap::Words;

/// The commands of one operation, and the places of the nonces that change each time.
#[derive(Debug, Clone)]
pub(super) struct Template {
    commands: Vec<Words>,
    /// A command, a word of it, and the position of 16 bytes in the word.
    expected: Vec<(usize, usize, usize)>,
    new: Vec<(usize, usize, usize)>,
    stored: [u8; 16],
}

impl Template {
    /// A template of an operation that changes nothing.
    pub(super) fn of_read(commands: Vec<Words>) -> Self {
        Self { commands, expected: Vec::new(), new: Vec::new(), stored: [0; 16] }
    }

    /// A template of an update from the state with the first nonce to that with the second.
    pub(super) fn of_update(commands: Vec<Words>, first: &[u8; 16], second: &[u8; 16]) -> Self {
        let places = |nonce: &[u8; 16]| {
            let mut places = Vec::new();
            for (command, words) in commands.iter().enumerate() {
                for (word, bytes) in words.iter().enumerate() {
                    places.extend(bytes.windows(16).position(|part| part == nonce).map(|at| (command, word, at)));
                }
            }
            assert!(!places.is_empty(), "the store sends a nonce");
            places
        };
        let (expected, new) = (places(first), places(second));
        Self { commands, expected, new, stored: *second }
    }

    /// Turns this into the next update. Its nonce must differ from that of every other write to the session, so it is a
    /// count.
    pub(super) fn advance(&mut self) {
        let next = (u128::from_be_bytes(self.stored).wrapping_add(1)).to_be_bytes();
        let stored = std::mem::replace(&mut self.stored, next);
        for (places, nonce) in [(&self.expected, &stored), (&self.new, &next)] {
            for &(command, word, at) in places {
                self.commands[command][word][at..at + 16].copy_from_slice(nonce);
            }
        }
    }

    /// The key of a session.
    pub(super) fn key(&self, id: &str) -> Vec<u8> {
        let mut words = self.commands.iter().flatten();
        words.find(|word| word.ends_with(id.as_bytes())).expect("the store sends its key").clone()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Bare(MultiplexedConnection);

impl Bare {
    pub(super) async fn connect(port: u16) -> Self {
        let info = format!("redis://127.0.0.1:{port}").into_connection_info().expect("an address");
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).expect("an address");
        // A time limit, since the store has one as well.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        Self(connecting.await.expect("the server listens"))
    }

    pub(super) async fn get(&self, key: &[u8]) -> usize {
        let mut connection = self.0.clone();
        let value: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut connection).await.expect("a value");
        value.len()
    }

    /// Reads with these commands in one pipeline, and returns the number of bytes in the replies.
    pub(super) async fn read(&self, template: &Template) -> usize {
        let mut connection = self.0.clone();
        if let [words] = &template.commands[..] {
            return length(&send(&mut connection, words).await);
        }
        let mut pipeline = redis::pipe();
        for words in &template.commands {
            pipeline.add_command(command(words));
        }
        let replies: Vec<Value> = pipeline.query_async(&mut connection).await.expect("answers");
        replies.iter().map(length).sum()
    }

    /// Writes with these commands.
    pub(super) async fn update(&self, template: &Template) {
        let mut connection = self.0.clone();
        for words in &template.commands {
            let reply = send(&mut connection, words).await;
            assert!(matches!(&reply, Value::BulkString(bytes) if bytes.starts_with(b"d")), "{reply:?}");
        }
    }
}

async fn send(connection: &mut MultiplexedConnection, words: &Words) -> Value {
    command(words).query_async(connection).await.expect("an answer")
}

fn command(words: &Words) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(&word[..]);
    }
    command
}

fn length(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::Array(values) => values.iter().map(length).sum(),
        _ => 0,
    }
}
