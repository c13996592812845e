//! A proxy in front of a Redis server that mistreats requests as no network may, but as retrying proxies do.

#![allow(dead_code, reason = "each test uses some of the helpers")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::random;

/// How the proxy treats scripts. Other requests pass unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    /// Has the server execute every second script, at random, twice, and swallows the second reply.
    pub duplicates: Option<Twice>,
    /// Has the server execute scripts that arrive together in another order. The replies keep the order of the
    /// requests.
    pub reorders: bool,
    /// Waits up to this long before forwarding requests, and before forwarding replies.
    pub delays: Duration,
    /// Cuts the connection at one in this many batches: after some of its requests, and before some of the replies.
    pub cuts: Option<u64>,
}

/// When a request is executed a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    AtOnce,
    /// After some of the requests that arrived with it.
    Later,
}

/// A proxy with these habits.
pub struct Unruly {
    port: u16,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub struct Counts {
    pub duplicated: AtomicU64,
    pub reordered: AtomicU64,
    pub cut: AtomicU64,
}

impl Unruly {
    pub async fn start(server: u16, habits: Habits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn({
            let counts = Arc::clone(&counts);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                    tokio::spawn(Connection::new(client, server, habits, Arc::clone(&counts)).pass());
                }
            }
        });
        Self { port, counts, task }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many requests were executed twice, how many were moved to another place, and how often it has cut the
    /// connection.
    pub fn counts(&self) -> [u64; 3] {
        let Counts { duplicated, reordered, cut } = &*self.counts;
        [duplicated, reordered, cut].map(|count| count.load(Ordering::SeqCst))
    }
}

impl Drop for Unruly {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    habits: Habits,
    counts: Arc<Counts>,
    /// Received, but not yet forwarded.
    requests: Vec<u8>,
    replies: Vec<u8>,
}

impl Connection {
    fn new(client: TcpStream, server: TcpStream, habits: Habits, counts: Arc<Counts>) -> Self {
        client.set_nodelay(true).expect("a socket");
        server.set_nodelay(true).expect("a socket");
        Self { client, server, habits, counts, requests: Vec::new(), replies: Vec::new() }
    }

    /// Forwards until one side closes or the connection is cut.
    async fn pass(mut self) {
        while self.batch().await.is_some() {}
    }

    /// Forwards the requests that have arrived, and then their replies. Returns `None` if the connection is to be
    /// closed.
    async fn batch(&mut self) -> Option<()> {
        let (mut bytes, mut pushed) = (vec![0; 1 << 14], vec![0; 1 << 10]);
        let requests = loop {
            let requests = frames(&mut self.requests);
            if !requests.is_empty() {
                break requests;
            }
            tokio::select! {
                read = self.client.read(&mut bytes) => {
                    self.requests.extend(&bytes[..read.ok().filter(|read| *read > 0)?]);
                }
                // Nothing was requested, so these can only be pushes.
                read = self.server.read(&mut pushed) => {
                    self.client.write_all(&pushed[..read.ok().filter(|read| *read > 0)?]).await.ok()?;
                }
            }
        };
        self.delay().await;
        let are_scripts =
            requests.iter().all(|request| request[..request.len().min(16)].windows(4).any(|at| at == b"EVAL"));
        let mut order: Vec<_> = (0..requests.len()).collect();
        if are_scripts && self.habits.reorders {
            shuffle(&mut order);
            let moved = order.iter().enumerate().filter(|(at, request)| at != *request).count();
            self.counts.reordered.fetch_add(moved as u64, Ordering::SeqCst);
        }
        if let Some(twice) = self.habits.duplicates.filter(|_| are_scripts) {
            for request in 0..requests.len() {
                if random().is_multiple_of(2) {
                    let first = order.iter().position(|at| *at == request).expect("each is in it");
                    let after = if twice == Twice::Later { below(order.len() - first) } else { 0 };
                    order.insert(first + 1 + after, request);
                    self.counts.duplicated.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let is_cut = are_scripts && self.habits.cuts.is_some_and(|cuts| random().is_multiple_of(cuts));
        if is_cut {
            self.counts.cut.fetch_add(1, Ordering::SeqCst);
            order.truncate(below(order.len() + 1));
        }
        for request in &order {
            self.server.write_all(&requests[*request]).await.ok()?;
        }
        if is_cut && random().is_multiple_of(2) {
            return None;
        }
        let mut answers: Vec<Option<Vec<u8>>> = vec![None; requests.len()];
        for request in &order {
            let reply = self.reply().await?;
            answers[*request].get_or_insert(reply);
        }
        self.delay().await;
        let answered = if is_cut { below(requests.len() + 1) } else { requests.len() };
        for answer in answers.into_iter().take(answered) {
            // No reply may be skipped, so that each request gets its own reply.
            self.client.write_all(&answer?).await.ok()?;
        }
        (!is_cut).then_some(())
    }

    /// The next reply.
    async fn reply(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 << 14];
        loop {
            if let Some(length) = length(&self.replies) {
                let reply = self.replies.drain(..length).collect::<Vec<_>>();
                if reply[0] != b'>' {
                    return Some(reply);
                }
                // A push is not a reply.
                self.client.write_all(&reply).await.ok()?;
                continue;
            }
            let read = self.server.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
            self.replies.extend(&bytes[..read]);
        }
    }

    async fn delay(&self) {
        let most = u64::try_from(self.habits.delays.as_micros()).expect("a short time");
        if most > 0 {
            tokio::time::sleep(Duration::from_micros(random() % most)).await;
        }
    }
}

fn below(limit: usize) -> usize {
    usize::try_from(random()).expect("64 bits") % limit
}

fn shuffle(order: &mut [usize]) {
    for last in (1..order.len()).rev() {
        order.swap(last, below(last + 1));
    }
}

/// Takes the complete requests out of the buffer.
fn frames(bytes: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(length) = length(bytes) {
        frames.push(bytes.drain(..length).collect());
    }
    frames
}

/// The length of the first RESP3 value, if it is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|at| at == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    let elements = |count: i64| (0..count).try_fold(line, |at, _| Some(at + length(&bytes[at..])?));
    match bytes[0] {
        b'$' | b'=' | b'!' => {
            let end = usize::try_from(number()?).map_or(line, |length| line + length + 2);
            (bytes.len() >= end).then_some(end)
        }
        b'*' | b'~' | b'>' => elements(number()?),
        b'%' => elements(2 * number()?),
        // Attributes, and the value that they describe.
        b'|' => elements(2 * number()? + 1),
        _ => Some(line),
    }
}
