//! The process under load.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
};

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::{
    child, runtime,
    subjects::{self, Kind},
};

/// A child process that serves one subject. It ends when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    pub(super) fn start(kind: Kind, place: &str) -> Self {
        let mut command = child::command(&["child-serve".to_owned(), kind.argument(), place.to_owned()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the child prints its port");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{}: no port but {line:?}", kind.name()));
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child ends when its input does, so that it isn't killed.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs in the child: serves all requests on this thread until its input ends.
pub(crate) fn serve(kind: Kind, place: &str) {
    runtime::single().block_on(async {
        let router = subjects::router(kind, place).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        writeln!(std::io::stdout(), "{port}").expect("somebody reads it");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP socket"));
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = ended.send(());
        });
        tokio::select! {
            result = axum::serve(listener, router) => result.expect("a listener never ends"),
            _ = end => {}
        }
    });
}
