//! Records what the store sends, so that a bare connection can send the same.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The words of one command.
pub(crate) type Words = Vec<Vec<u8>>;

/// A proxy in front of a server, which keeps a copy of what clients send.
#[derive(Debug)]
pub(crate) struct Tap {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let copies = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) =
                    TcpStream::connect(("127.0.0.1", server)).await.expect("the server listens").into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let copies = Arc::clone(&copies);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                        copies.lock().expect("no panic under it").extend_from_slice(&buffer[..read]);
                        if to_server.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port, sent }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the commands that were sent since the last call.
    pub(crate) fn commands(&self) -> Vec<Words> {
        let bytes = std::mem::take(&mut *self.sent.lock().expect("no panic under it"));
        let mut rest = &bytes[..];
        let mut commands = Vec::new();
        while !rest.is_empty() {
            let words = number(&mut rest, b'*');
            commands.push((0..words).map(|_| word(&mut rest)).collect());
        }
        commands
    }
}

/// Reads the number on the next line, after this letter.
fn number(rest: &mut &[u8], letter: u8) -> usize {
    let end = rest.iter().position(|&byte| byte == b'\r').expect("a whole line");
    assert_eq!(rest[0], letter, "a command in RESP");
    let number = std::str::from_utf8(&rest[1..end]).ok().and_then(|digits| digits.parse().ok());
    *rest = &rest[end + 2..];
    number.expect("a number")
}

fn word(rest: &mut &[u8]) -> Vec<u8> {
    let length = number(rest, b'$');
    let word = rest[..length].to_vec();
    *rest = &rest[length + 2..];
    word
}
