//! A proxy between client and server that delays, cuts, splits and injects on demand.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// The beginnings of lines that are requests of a store: memcached's meta commands, and Redis's scripts and reads.
const VERBS: [&[u8]; 5] = [b"mg ", b"ms ", b"md ", b"EVAL", b"MGET"];

/// A fault that happens once, at the first request that contains the armed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Cuts the connection before the request is forwarded.
    CutRequest,
    /// Forwards the request, and cuts the connection instead of forwarding its reply.
    CutReply,
    /// Forwards the request and drops its reply; later replies pass.
    SwallowReply,
    /// Forwards the request, and sends these bytes before its reply.
    Inject(Vec<u8>),
    /// Forwards the request, and sends these bytes instead of the first value in the reply.
    Replace(Vec<u8>),
}

/// A proxy in front of one server.
pub struct Proxy {
    port: u16,
    control: Arc<Control>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    armed: Mutex<Option<(Vec<u8>, Fault)>>,
    /// Writes every reply byte by byte.
    split: Mutex<bool>,
    delay: Mutex<Duration>,
    commands: AtomicU64,
    round_trips: AtomicU64,
    /// Whether a reply has arrived since the last request.
    answered: AtomicBool,
    fired: AtomicU64,
    /// The number of writes of requests after which the connection is cut instead of forwarding the reply.
    losing: Mutex<Option<u32>>,
    lost: AtomicBool,
    cut: Notify,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        Self::with(server, Arc::default()).await
    }

    /// Starts a proxy for another server. Both proxies share armed faults and counts.
    pub async fn beside(&self, server: u16) -> Self {
        Self::with(server, Arc::clone(&self.control)).await
    }

    async fn with(server: u16, control: Arc<Control>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn({
            let control = Arc::clone(&control);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                    tokio::spawn(pass(client, server, Arc::clone(&control)));
                }
            }
        });
        Self { port, control, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Arms a fault for the first request that contains `text`.
    pub fn arm(&self, text: &str, fault: Fault) {
        *self.control.armed.lock().unwrap() = Some((text.as_bytes().to_vec(), fault));
    }

    /// Loses the answer to the n-th write of requests from now on, by cutting the connection when it comes. `None`
    /// stops this. Returns whether an answer was lost since the last call.
    pub fn lose_answer(&self, nth: Option<u32>) -> bool {
        *self.control.losing.lock().unwrap() = nth;
        self.control.lost.swap(false, Ordering::SeqCst)
    }

    /// The number of faults that have happened.
    pub fn fired(&self) -> u64 {
        self.control.fired.load(Ordering::SeqCst)
    }

    pub fn split(&self, on: bool) {
        *self.control.split.lock().unwrap() = on;
    }

    pub fn delay(&self, by: Duration) {
        *self.control.delay.lock().unwrap() = by;
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        self.control.cut.notify_waiters();
    }

    /// Returns how often, since the last call, requests were sent after a reply had arrived. Requests that are sent
    /// together are one round trip. The first request begins one.
    pub fn round_trips(&self) -> u64 {
        self.control.answered.store(true, Ordering::SeqCst);
        self.control.round_trips.swap(0, Ordering::SeqCst)
    }

    /// Returns the number of commands that were forwarded since the last call.
    pub fn commands(&self) -> u64 {
        self.control.commands.swap(0, Ordering::SeqCst)
    }
}

impl Control {
    /// Counts a write of requests. Returns whether its answer is the one to lose.
    fn loses_this(&self) -> bool {
        let mut losing = self.losing.lock().unwrap();
        *losing = losing.map(|left| left.saturating_sub(1));
        losing.take_if(|left| *left == 0).is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.control.cut.notify_waiters();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, control: Arc<Control>) {
    let (mut requests, mut replies) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut pending = None;
    client.set_nodelay(true).expect("a socket");
    server.set_nodelay(true).expect("a socket");
    loop {
        tokio::select! {
            () = control.cut.notified() => return,
            read = client.read(&mut requests) => {
                let Ok(bytes @ 1..) = read else { return };
                let request = &requests[..bytes];
                let lines = request.split(|&byte| byte == b'\n');
                let commands = lines.filter(|line| VERBS.iter().any(|verb| line.starts_with(verb)));
                let commands = commands.count() as u64;
                control.commands.fetch_add(commands, Ordering::SeqCst);
                if commands > 0 && control.answered.swap(false, Ordering::SeqCst) {
                    control.round_trips.fetch_add(1, Ordering::SeqCst);
                }
                if commands > 0 && control.loses_this() {
                    pending = Some(Fault::CutReply);
                }
                let fault = control.armed.lock().unwrap().take_if(|(text, _)| holds(request, text)).map(|(_, fault)| fault);
                if fault.is_some() {
                    control.fired.fetch_add(1, Ordering::SeqCst);
                }
                if fault == Some(Fault::CutRequest) || server.write_all(request).await.is_err() {
                    return;
                }
                pending = fault.or(pending);
            }
            read = server.read(&mut replies) => {
                let Ok(bytes @ 1..) = read else { return };
                let mut reply = replies[..bytes].to_vec();
                let delay = *control.delay.lock().unwrap();
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                control.answered.store(true, Ordering::SeqCst);
                match pending.take() {
                    Some(Fault::CutReply) => {
                        control.lost.store(true, Ordering::SeqCst);
                        return;
                    }
                    Some(Fault::SwallowReply) => continue,
                    Some(Fault::Inject(bytes)) if client.write_all(&bytes).await.is_err() => return,
                    Some(Fault::Replace(bytes)) => match first_value(&reply) {
                        Some(place) => drop(reply.splice(place, bytes)),
                        None => pending = Some(Fault::Replace(bytes)),
                    },
                    _ => {}
                }
                let size = if *control.split.lock().unwrap() { 1 } else { reply.len() };
                for piece in reply.chunks(size) {
                    if client.write_all(piece).await.is_err() {
                        return;
                    }
                    if size == 1 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }
}

/// Returns the position of the first value in these replies, including its line.
fn first_value(replies: &[u8]) -> Option<Range<usize>> {
    let start = if replies.starts_with(b"VA ") { 0 } else { find(replies, b"\r\nVA ")? + 2 };
    let line = start + find(&replies[start..], b"\r\n")?;
    let length = std::str::from_utf8(&replies[start + 3..line]).ok()?.split(' ').next()?.parse::<usize>().ok()?;
    Some(start..line + 2 + length + 2)
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    find(bytes, text).is_some()
}
