//! A session by bare commands, on one multiplexed connection: the version, then the record, as one value.

use bench_support::handlers::bare::Bare;
use redis::{AsyncCommands, Script, aio::MultiplexedConnection};

/// The size of a version, in bytes.
const VERSION: usize = 16;

/// How long a session is kept, in seconds.
const KEPT: u64 = 14 * 24 * 60 * 60;

/// Replaces the value if it begins with the expected version: the fewest commands that compare before they write.
const UPDATE: &str = "if redis.call('GETRANGE', KEYS[1], '0', '15') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";

#[derive(Clone)]
pub(crate) struct BareRedis {
    connection: MultiplexedConnection,
    update: Script,
}

impl BareRedis {
    pub(crate) async fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).expect("an address");
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Self { connection: connection.expect("the server listens"), update: Script::new(UPDATE) }
    }
}

impl Bare for BareRedis {
    async fn insert(&self, id: Vec<u8>, version: Vec<u8>, record: Vec<u8>) {
        let value = [version, record].concat();
        let () = self.connection.clone().set_ex(id, value, KEPT).await.expect("the server has room");
    }

    async fn select(&self, id: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let mut value: Vec<u8> = self.connection.clone().get(id).await.expect("a session");
        let record = value.split_off(VERSION);
        (value, record)
    }

    async fn update(&self, id: Vec<u8>, before: Vec<u8>, version: Vec<u8>, record: Vec<u8>) -> bool {
        let value = [version, record].concat();
        let mut invocation = self.update.key(id);
        invocation.arg(before).arg(value).arg(KEPT.to_string());
        invocation.invoke_async(&mut self.connection.clone()).await.expect("the server runs scripts")
    }
}
