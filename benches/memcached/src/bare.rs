//! A minimal multiplexed client: a writer task, a reader task, replies in order, and only gets.
//!
//! It has no time limit, reconnection, opaque or record, so it shows the least that such a client costs.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

type Waiter = oneshot::Sender<Vec<u8>>;

#[derive(Clone)]
pub(crate) struct Bare {
    queue: mpsc::Sender<(Vec<u8>, Waiter)>,
}

impl Bare {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut read, mut write) = stream.into_split();
        let (queue, mut requests) = mpsc::channel::<(Vec<u8>, Waiter)>(1_024);
        let waiting = Arc::new(Mutex::new(VecDeque::<Waiter>::new()));
        let waiters = Arc::clone(&waiting);
        tokio::spawn(async move {
            let (mut batch, mut bytes) = (Vec::new(), Vec::new());
            while requests.recv_many(&mut batch, 256).await > 0 {
                // As the store's client does. Without yielding to the other tasks here, every request would be written
                // alone.
                if !waiting.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                    while batch.len() < 256
                        && let Ok(request) = requests.try_recv()
                    {
                        batch.push(request);
                    }
                }
                {
                    let mut waiting = waiting.lock().unwrap();
                    for (request, waiter) in batch.drain(..) {
                        bytes.extend_from_slice(&request);
                        waiting.push_back(waiter);
                    }
                }
                write.write_all(&bytes).await.unwrap();
                bytes.clear();
            }
        });
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(1 << 16);
            while read.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                let mut at = 0;
                // `VA <length>\r\n<value>\r\n`
                while let Some(end) = buffer[at..].iter().position(|&byte| byte == b'\n') {
                    let line = std::str::from_utf8(&buffer[at..at + end - 1]).unwrap();
                    let length: usize = line.strip_prefix("VA ").unwrap().parse().unwrap();
                    let start = at + end + 1;
                    if buffer.len() < start + length + 2 {
                        break;
                    }
                    let waiter: Waiter = waiters.lock().unwrap().pop_front().unwrap();
                    let _ = waiter.send(buffer[start..start + length].to_vec());
                    at = start + length + 2;
                }
                buffer.drain(..at);
            }
        });
        Self { queue }
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let (waiter, reply) = oneshot::channel();
        self.queue.send((format!("mg {key} v\r\n").into_bytes(), waiter)).await.unwrap();
        reply.await.unwrap()
    }
}
