//! What a store logs about the servers that it connects to.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use session_layer::{
    RedisStore, SessionStore,
    store::{StoreErrorKind, Usage},
};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    server::{Product, Server},
    support::*,
};

/// The events of this test's thread, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<u8>>>);

impl Events {
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_writer(self.clone()).with_ansi(false);
        tracing::subscriber::set_default(subscriber.with_max_level(tracing::Level::TRACE).finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, part: &str) -> usize {
        self.text().matches(part).count()
    }
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Events {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn an_eviction_policy_that_logs_people_out_is_warned_of_once() {
    for (policy, warnings) in [("allkeys-lru", 1), ("volatile-ttl", 1), ("noeviction", 0)] {
        let server = Server::start(Product::Redis, &["--maxmemory", "50mb", "--maxmemory-policy", policy]);
        let (events, store) = (Events::default(), store(&server));
        let _guard = events.record();
        for made in 1..=4 {
            while store.load(&id()).await.is_err() {}
            assert_eq!(events.count("connected"), made, "{}", events.text());
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        assert_eq!(events.count("evicts sessions"), warnings, "{policy}: {}", events.text());
    }
    // Without a memory limit, nothing is ever evicted.
    let server = Server::start(Product::Valkey, &["--maxmemory-policy", "allkeys-lru"]);
    let events = Events::default();
    let _guard = events.record();
    store(&server).load(&id()).await.unwrap();
    assert_eq!(events.count("evicts sessions"), 0);
}

#[tokio::test]
async fn events_name_the_session_and_nothing_of_its_data() {
    let server = Server::start(Product::Valkey, &[]);
    let (events, store, id) = (Events::default(), builder(&server).build().unwrap(), id());
    let _guard = events.record();
    let version = created(&store, &id, &record(b"4111111111111111")).await;
    loaded(&store, &id).await;
    store.touch(&id, Usage::at(&record(b"1"), std::time::SystemTime::now())).await.unwrap();
    store.update(&id, &record(b"4111111111111111"), &version, usage(&record(b"1"))).await.unwrap();
    store.update(&id, &record(b"4111111111111111"), &version, usage(&record(b"1"))).await.unwrap();
    store.remove(&id).await.unwrap();
    server.cli(&["SET", &key(&id), "4111111111111111"]);
    store.load(&id).await.unwrap_err();
    store.close().await.unwrap();
    store.load(&id).await.unwrap_err();
    let text = events.text();
    for event in ["created", "load", "touch", "updated", "not updated: another version", "remove", "closed", "failed"] {
        assert!(text.contains(event), "{event}: {text}");
    }
    assert!(text.contains("ERROR") && text.contains("session_layer::store::redis"), "{text}");
    assert!(text.contains(&id.to_string()) && !text.contains("4111"), "{text}");
}

/// Answers like an older server.
fn older_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut answers = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // Each line is a command's name, or a word that is another command's name.
                let answer: &[u8] = match line.as_str() {
                    "HELLO" => b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
                    "CLIENT" => b"-ERR Unknown subcommand\r\n",
                    _ => continue,
                };
                if answers.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn an_older_server_is_an_error_that_says_what_is_needed() {
    let store = RedisStore::builder().server(older_server()).build().unwrap();
    let error = store.load(&id()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let why = cause(&error);
    assert!(why.contains("redis 6.2.14 is too old: Redis 7.0 or Valkey 7.2"), "{why}");
}
