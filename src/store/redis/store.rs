//! The store: what its operations share.

use std::{fmt, sync::Arc, time::SystemTime};

use redis::Value;

use super::{
    key::Keys,
    link::{Link, LinkError, RedisStatistics},
    listed::Listed,
    script::Script,
    seen::Seen,
};
use crate::{
    clock::{self, Clock},
    id::SessionId,
    store::released::Released,
};

/// Sessions on Redis or Valkey, shared by any number of processes. Clones share one store.
#[derive(Clone)]
pub struct RedisStore {
    pub(super) inner: Arc<Inner>,
}

/// What clones share.
pub(super) struct Inner {
    pub(super) link: Link,
    pub(super) keys: Keys,
    pub(super) options: Options,
    pub(super) listed: Listed,
    pub(super) released: Released,
    pub(super) seen: Seen,
}

/// The settings that connections don't need.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) list_owners: bool,
    pub(super) value_size_limit: usize,
    pub(super) clock: Clock,
}

/// The keys of one id.
pub(super) struct Place {
    pub(super) session: String,
    pub(super) generation: String,
}

impl RedisStore {
    pub(super) fn new(link: Link, keys: Keys, options: Options) -> Self {
        let (listed, released, seen) = (Listed::default(), Released::default(), Seen::default());
        Self { inner: Arc::new(Inner { link, keys, options, listed, released, seen }) }
    }

    /// What was done with the servers since the store was made.
    #[must_use]
    pub fn statistics(&self) -> RedisStatistics {
        self.inner.link.statistics()
    }

    pub(super) fn now(&self) -> SystemTime {
        self.inner.options.clock.now()
    }

    pub(super) fn place(&self, id: &SessionId) -> Place {
        Place { session: self.inner.keys.session(id), generation: self.inner.keys.generation(id) }
    }

    /// Runs a script with these keys and arguments, after those that each has: the time, and the prefix if the script can
    /// use all keys.
    pub(super) async fn run(&self, script: &'static Script, keys: &[&str], args: &[&[u8]]) -> Result<Value, LinkError> {
        let now = clock::to_millis(self.now()).to_string();
        let prefix = if self.inner.link.is_one_node() { self.inner.keys.prefix() } else { "" };
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let mut all = Vec::with_capacity(args.len() + 2);
        all.extend([now.as_bytes(), prefix.as_bytes()]);
        all.extend(args);
        self.inner.link.script(script, &keys, &all).await
    }
}

impl RedisStore {
    /// The same with keys that are the future's own.
    pub(super) async fn run_on(
        &self,
        script: &'static Script,
        keys: Vec<String>,
        args: Vec<&[u8]>,
    ) -> Result<Value, LinkError> {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        self.run(script, &keys, &args).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.inner.link)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
