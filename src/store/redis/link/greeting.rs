//! Reads the server's name and version from its `HELLO`, and checks whether the store can use it.

use redis::{FromRedisValue, InfoDict, Value, aio::MultiplexedConnection};

use super::error::Cause;

/// The oldest version of Redis. Valkey began with 7.2.
const OLDEST: (u64, u64) = (7, 0);

/// A server's answer to `HELLO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    /// `redis` or `valkey`.
    pub(super) name: String,
    pub(super) version: String,
    /// `master` or `replica`.
    pub(super) role: String,
}

impl Greeting {
    /// Reads a server's greeting, and refuses a server that is too old.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> Result<Self, Cause> {
        let reply = connection.send_packed_command(&redis::cmd("HELLO")).await.and_then(Value::extract_error);
        let reply = reply.map_err(|error| Cause::Down(error.to_string().into()))?;
        let greeting = Self::read(&reply).ok_or_else(|| Cause::Unsuitable("its HELLO has no version".into()))?;
        greeting.check()?;
        Ok(greeting)
    }

    fn read(reply: &Value) -> Option<Self> {
        let fields: std::collections::HashMap<String, Value> = FromRedisValue::from_redis_value_ref(reply).ok()?;
        let text = |name: &str| String::from_redis_value_ref(fields.get(name)?).ok();
        Some(Self {
            name: text("server").unwrap_or_default(),
            version: text("version")?,
            role: text("role").unwrap_or_default(),
        })
    }

    fn check(&self) -> Result<(), Cause> {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < OLDEST {
            let why = format!("{} {} is too old: Redis 7.0 or Valkey 7.2 is needed", self.name, self.version);
            return Err(Cause::Unsuitable(why.into()));
        }
        Ok(())
    }
}

/// The server's eviction policy, if it has a memory limit and evicts at it. Also `None` if the user may not run `INFO`.
pub(super) async fn eviction_policy(connection: &mut MultiplexedConnection) -> Option<String> {
    let mut command = redis::cmd("INFO");
    command.arg("memory");
    let reply = connection.send_packed_command(&command).await.and_then(Value::extract_error);
    let memory = InfoDict::from_redis_value(reply.ok()?).ok()?;
    let limit: u64 = memory.get("maxmemory")?;
    let policy: String = memory.get("maxmemory_policy")?;
    (limit > 0 && policy != "noeviction").then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(version: &str) -> Greeting {
        Greeting { name: "redis".to_owned(), version: version.to_owned(), role: "master".to_owned() }
    }

    #[test]
    fn an_older_server_is_refused() {
        for old in ["6.2.14", "6", "", "x", "5.0.0"] {
            let error = greeting(old).check().unwrap_err().to_string();
            assert!(error.contains("Redis 7.0 or Valkey 7.2"), "{old}: {error}");
        }
        for new in ["7.0.0", "7.0", "7.2.4", "8.0.1", "9.1.0-rc1", "10.0"] {
            assert!(greeting(new).check().is_ok(), "{new}");
        }
    }
}
