//! The process that serves the requests.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

use crate::{child, processor, runtime};

/// A child process that serves one router. Dropping this ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts this program with these arguments, which must have it call [`serve`].
    pub fn start(arguments: &[String]) -> Self {
        let mut command = child::command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the child prints its port");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{arguments:?}: no port but {line:?}"));
        Self { child, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The processor time that it has used, in seconds.
    pub fn processor_time(&self) -> f64 {
        processor::time(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child isn't killed. It ends when its input does, and then removes its store's files and processes.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves all requests on this thread, in the child, until its input ends. Then drops what `make` returned with the
/// router.
pub fn serve<T>(make: impl Future<Output = (Router, T)>) {
    runtime::single().block_on(async {
        let (router, kept) = make.await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        writeln!(std::io::stdout(), "{port}").expect("somebody reads it");
        // Each response is one write, so it is sent without waiting for more.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP socket"));
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = ended.send(());
        });
        let server = axum::serve(listener, router);
        tokio::select! {
            result = server => result.expect("a listener never ends"),
            _ = end => {}
        }
        drop(kept);
    });
}
