//! A write that the server executed but whose answer was lost takes effect once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use session_layer::{
    SqlStore,
    conformance::{self, Harness},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    server::{Bouncer, Product, Server},
    support::{LIMIT, table},
};

/// A proxy that loses the answer to its clients' n-th write: it closes the connection when the answer arrives.
struct Proxy {
    port: u16,
    control: Arc<Control>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    losing: Mutex<Option<u32>>,
    lost: AtomicBool,
}

impl Control {
    fn loses_this(&self) -> bool {
        let mut losing = self.losing.lock().unwrap();
        *losing = losing.map(|left| left.saturating_sub(1));
        losing.take_if(|left| *left == 0).is_some()
    }
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let control = Arc::<Control>::default();
        let accepting = Arc::clone(&control);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                tokio::spawn(pass(client, server, Arc::clone(&accepting)));
            }
        });
        Self { port, control, task }
    }

    fn lose_answer(&self, nth: Option<u32>) -> bool {
        *self.control.losing.lock().unwrap() = nth;
        self.control.lost.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, control: Arc<Control>) {
    let (mut requests, mut replies) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut loses = false;
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    loop {
        tokio::select! {
            read = client.read(&mut requests) => {
                let Ok(bytes @ 1..) = read else { return };
                loses |= control.loses_this();
                if server.write_all(&requests[..bytes]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut replies) => {
                let Ok(bytes @ 1..) = read else { return };
                if loses {
                    control.lost.store(true, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&replies[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Where the answers are lost.
#[derive(Clone, Copy)]
enum Between {
    Server(Product),
    /// Between the store and PgBouncer.
    Bouncer,
    /// Between PgBouncer and its server. PgBouncer then reports that connection as broken.
    BouncerAndServer,
}

async fn happens_once(between: Between, prepared: bool) {
    let product = match between {
        Between::Server(product) => product,
        Between::Bouncer | Between::BouncerAndServer => Product::Postgres,
    };
    let server = Server::shared(product);
    let name = server.database();
    for check in conformance::checks().iter().filter(|check| check.sentences.contains(&"G6")) {
        // Only one connection to the server, since the proxy would also count the requests of others.
        let settings = ["default_pool_size = 1", "server_login_retry = 1"];
        let (proxy, port, _bouncer) = match between {
            Between::Server(_) => {
                let proxy = Proxy::start(server.port()).await;
                let port = proxy.port;
                (proxy, port, None)
            }
            Between::Bouncer => {
                let bouncer = Bouncer::start(server, &settings);
                let proxy = Proxy::start(bouncer.port()).await;
                let port = proxy.port;
                (proxy, port, Some(bouncer))
            }
            Between::BouncerAndServer => {
                let proxy = Proxy::start(server.port()).await;
                let bouncer = Bouncer::start_at(proxy.port, &settings);
                (proxy, bouncer.port(), Some(bouncer))
            }
        };
        let proxy = Arc::new(proxy);
        let user = match product {
            Product::Postgres => "postgres",
            Product::MariaDb => "tests",
        };
        let url = server.url_at(port, user, &name);
        // Only one connection, since the proxy would also count the requests of others.
        let builder = match product {
            Product::Postgres => SqlStore::postgres_with(url.parse().unwrap(), 1),
            Product::MariaDb => SqlStore::mysql_with(url.parse().unwrap(), 1),
        };
        let clock = conformance::manual_clock();
        let builder = builder.table(table()).clock(clock.clone()).request_timeout(LIMIT).sweep_interval(None);
        let store = builder.prepared_statements(prepared).create().await.unwrap();
        let harness =
            Harness::new(store, clock).patience(Duration::from_secs(60)).rounds(10).lose_answers(move |nth| {
                let lost = proxy.lose_answer(nth);
                async move { lost }
            });
        let outcome = check.run(harness).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_write_to_postgres_happens_once() {
    for prepared in [true, false] {
        happens_once(Between::Server(Product::Postgres), prepared).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_write_to_mariadb_happens_once() {
    for prepared in [true, false] {
        happens_once(Between::Server(Product::MariaDb), prepared).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_bouncer_does_not_answer_happens_once() {
    happens_once(Between::Bouncer, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_bouncers_server_does_not_answer_happens_once() {
    happens_once(Between::BouncerAndServer, false).await;
}
