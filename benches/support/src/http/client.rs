//! A small HTTP/1.1 client. It costs less than the server that it loads, so the server is what the benchmark measures.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A persistent connection, and the cookies of its visitor.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    /// The bytes that were read. The next response replaces them.
    answer: Vec<u8>,
    request: Vec<u8>,
    /// Names and values.
    cookies: Vec<(String, String)>,
}

/// The maximum number of headers in a response.
const HEADERS: usize = 32;
/// The maximum number of bytes in a read.
const CHUNK: usize = 16 * 1_024;

/// The contents of a response's head.
struct Head {
    /// The number of bytes before the body.
    length: usize,
    body: usize,
    status: u16,
    cookies: Vec<(String, String)>,
}

impl Client {
    pub(super) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream, answer: Vec::with_capacity(CHUNK), request: Vec::new(), cookies: Vec::new() }
    }

    /// Forgets the cookies, as a new visitor.
    pub(super) fn forget(&mut self) {
        self.cookies.clear();
    }

    /// Sends a GET and reads the whole response.
    pub(super) async fn get(&mut self, path: &str, keeps_cookies: bool) {
        self.write_request(path);
        self.stream.write_all(&self.request).await.expect("the server reads");
        self.answer.clear();
        let head = loop {
            self.read().await;
            if let Some(head) = head(&self.answer, keeps_cookies) {
                break head;
            }
        };
        while self.answer.len() < head.length + head.body {
            self.read().await;
        }
        assert!((200..300).contains(&head.status), "{path} answered {}", head.status);
        assert_eq!(self.answer.len(), head.length + head.body, "{path}: more than one answer");
        for (name, value) in head.cookies {
            self.cookies.retain(|(kept, _)| *kept != name);
            self.cookies.push((name, value));
        }
    }

    fn write_request(&mut self, path: &str) {
        self.request.clear();
        for part in ["GET ", path, " HTTP/1.1\r\nhost: localhost\r\n"] {
            self.request.extend_from_slice(part.as_bytes());
        }
        for (at, (name, value)) in self.cookies.iter().enumerate() {
            for part in [if at == 0 { "cookie: " } else { "; " }, name, "=", value] {
                self.request.extend_from_slice(part.as_bytes());
            }
        }
        self.request.extend_from_slice(if self.cookies.is_empty() { b"\r\n" } else { b"\r\n\r\n" });
    }

    async fn read(&mut self) {
        self.answer.reserve(CHUNK);
        let read = self.stream.read_buf(&mut self.answer).await.expect("the server writes");
        assert!(read > 0, "the server closed a connection");
    }
}

/// Parses the head. Returns `None` if more bytes have to be read.
fn head(answer: &[u8], with_cookies: bool) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(answer).expect("an HTTP answer") else { return None };
    let mut head = Head { length, body: 0, status: response.code.expect("it is whole"), cookies: Vec::new() };
    for header in &*response.headers {
        let value = || std::str::from_utf8(header.value).expect("text");
        if header.name.eq_ignore_ascii_case("content-length") {
            head.body = value().parse().expect("a length");
        } else if with_cookies && header.name.eq_ignore_ascii_case("set-cookie") {
            let (name, rest) = value().split_once('=').expect("a cookie");
            head.cookies.push((name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned()));
        }
        assert!(!header.name.eq_ignore_ascii_case("transfer-encoding"), "an answer without a length");
    }
    Some(head)
}
