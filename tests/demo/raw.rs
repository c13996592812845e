//! Bytes on a socket: malformed requests, and requests that wait for `100 Continue`.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::Demo;

/// Sends these bytes, and returns the reply up to the end of the connection.
pub(crate) async fn exchange(demo: &Demo, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(demo.address).await.unwrap();
    // The demo may end the connection before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// The same for an incomplete request. The client hangs up, since the demo would wait for the rest.
pub(crate) async fn exchange_part(demo: &Demo, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(demo.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// A `PUT` of an entry whose session is loaded and whose body is not sent.
///
/// With `Expect: 100-continue` (RFC 9110, section 10.1.1) the server says when it wants the body. The demo does so once
/// it has the session.
pub(crate) struct Held {
    stream: TcpStream,
    body: String,
}

impl Held {
    pub(crate) async fn put(demo: &Demo, cookie: &str, path: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(demo.address).await.unwrap();
        let length = body.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: demo\r\nCookie: {cookie}\r\nConnection: close\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, body: body.to_owned() }
    }

    /// Sends the body, and returns the reply in lower case.
    pub(crate) async fn finish(mut self) -> String {
        self.send_body().await;
        self.answer().await
    }

    pub(crate) async fn send_body(&mut self) {
        self.stream.write_all(self.body.as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(mut self) -> String {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer.to_lowercase()
    }
}
