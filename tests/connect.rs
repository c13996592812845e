//! Stores from URLs: the meaning of each part, and the error for each mistake.

use std::{error::Error, time::SystemTime};

use session_layer::{
    DynStore, Lifetime, SessionId, SessionStore, connect,
    id::TokenCheck,
    record::Record,
    store::{Create, Usage},
};

async fn refused(url: &str) -> String {
    connect(url).await.expect_err(url).to_string()
}

async fn holds_a_session(store: &DynStore) {
    let now = SystemTime::now();
    let record = std::sync::Arc::new(Record::session(TokenCheck::from_bytes([7; 16]), now, Lifetime::default()));
    let id = SessionId::for_epoch("any id will do");
    let created = store.create(&id, &record, Usage::at(&record, now)).await.expect("a store that is open");
    assert!(matches!(created, Create::Created(_)));
    assert!(store.load(&id).await.expect("a store that is open").is_some());
}

#[tokio::test]
async fn a_memory_store_opens() {
    for url in ["memory:", "memory:?capacity=10&bytes=1000000&sweep_interval_s=5"] {
        let store = connect(url).await.expect("a URL of the documentation");
        assert_eq!(store.name(), "memory");
        holds_a_session(&store).await;
    }
}

#[tokio::test]
async fn a_memory_store_with_a_snapshot_opens() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("memory:?snapshot={}/s.snapshot", dir.path().display());
    let store = connect(&url).await.expect("a path that can be written");
    holds_a_session(&store).await;
    store.close().await.expect("a last snapshot");
    let store = connect(&url).await.expect("a snapshot that can be read");
    assert!(store.load(&SessionId::for_epoch("any id will do")).await.expect("a store that is open").is_some());
    store.close().await.expect("a last snapshot");
}

#[tokio::test]
async fn a_file_store_opens() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sessions");
    let missing = refused(&format!("file:{}", path.display())).await;
    assert_eq!(
        missing,
        format!(
            "the file store's directory {} is missing (No such file or directory (os error 2)): create it, or add the \
             option `create=yes` to the store URL",
            path.display()
        )
    );
    std::fs::write(dir.path().join("file"), "").expect("a temporary directory");
    let no_directory = refused(&format!("file:{}/file", dir.path().display())).await;
    assert!(no_directory.starts_with("the file store can't be opened: "), "{no_directory}");
    for url in [
        format!("file:{}?create=yes&durability=none", path.display()),
        format!("file://{}?cache=64&sweep_interval_s=0", path.display()),
    ] {
        let store = connect(&url).await.expect("a URL of the documentation");
        store.clearing().expect("files can be listed").clear().await.expect("a store that is open");
        holds_a_session(&store).await;
    }
}

#[tokio::test]
async fn a_sqlite_store_opens() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("my sessions.db").display().to_string();
    let encoded = path.replace(' ', "%20");
    let missing = refused(&format!("sqlite:{encoded}")).await;
    assert!(missing.contains(&path) && missing.contains("create=yes"), "{missing}");
    let store = connect(&format!("sqlite:{encoded}?create=yes&durability=none&cache=16")).await.expect("it is made");
    assert_eq!(store.name(), "sqlite");
    holds_a_session(&store).await;
    for form in ["sqlite:", "SQLITE:", "sqlite://", "sqlite://localhost"] {
        let store = connect(&format!("{form}{encoded}?durability=full&sweep_interval_s=0")).await.expect(form);
        let id = SessionId::for_epoch("any id will do");
        assert!(store.load(&id).await.expect("a store that is open").is_some(), "{form}");
    }
    let other = refused(&format!("sqlite:{encoded}?table=others")).await;
    assert!(other.contains("has no table") && other.contains("add the option `create=yes`"), "{other}");
    holds_a_session(&connect("sqlite::memory:?create=yes").await.expect("a database of its own")).await;
}

#[tokio::test]
async fn memcached_is_not_asked_until_it_is_used() {
    let store =
        connect("memcached://127.0.0.1:1,%2Frun%2Fnone.sock/shop?timeout_ms=250&connections=1&list=error&cache=16");
    assert_eq!(store.await.expect("a URL of the documentation").name(), "memcached");
}

#[tokio::test]
async fn mistakes_name_the_part_and_the_allowed_values() {
    assert_eq!(
        refused("sessions").await,
        "the store URL \"sessions\" has no scheme: write `memory:`, `file:DIR`, `memcached://HOST` or `redis://HOST`"
    );
    assert_eq!(
        refused("memcache://x").await,
        "the store URL's scheme `memcache:` is unknown: did you mean `memcached`? the schemes are memory, file, memcached, \
         redis, redis+unix, redis-cluster and redis-sentinel, rediss and others with it by TLS, valkey for redis, \
         postgres, mysql and sqlite"
    );
    assert_eq!(
        refused("memory:?capacity=many").await,
        "the store URL's option `capacity` is \"many\": it takes a whole number, such as 100"
    );
    assert_eq!(
        refused("file:/x?durability=date").await,
        "the store URL's option `durability` is \"date\": did you mean `data`? it takes none, data, full"
    );
    assert_eq!(refused("memory:?capacity=1&capacity=2").await, "the store URL's option `capacity` is given twice");
    assert_eq!(refused("memory:?capacity").await, "the store URL's option `capacity` has no value: write `capacity=…`");
    assert!(refused("memory:/path").await.contains("takes no path"));
    assert!(refused("memory:?cache=4096").await.contains("`cache` is unknown"));
    assert!(refused("memory:?capacity=0").await.contains("capacity"));
    assert!(refused("file:").await.contains("write `file:DIR`"));
    assert!(refused("memcached:x").await.contains("has no `//`"));
    assert!(refused("memcached://x?list=%ff").await.contains("UTF-8"));
    assert!(refused("memcached://x?connections=0").await.contains("connections"));
}

/// Secrets are not accepted in URLs, and the error does not repeat them.
#[tokio::test]
async fn secrets_are_refused() {
    for url in [
        "memcached://bob:hunter2@h1:11211/shop",
        "memcached:bob:hunter2@h1",
        "memcached:///bob:hunter2@h1",
        "memcached://bob:hun/hunter2@h1",
        "memcached://h1,bob:hunter2@h2",
        "memcached://bob:hunter2%40h1",
        "memcached://h1/shop?password=hunter2",
        "memory://bob:hunter2@h1",
        "file://bob:hunter2@h1/x",
        "redis://bob:hunter2@h1/x",
        "redis://bob:hunter2@",
        "redis://bob:hunter2@h1,h2",
        "redis://bob:hunter2@h1:99999",
        "redis://bob:hunter2@h1:x",
        "redis://bob:hun/hunter2@h1",
        "redis://bob:hun?hunter2@h1",
        "redis://bob:hun#hunter2@h1",
        "redis://bob:hun@hunter2@h1",
        "redis://bob:hun,hunter2@h1",
        "redis://bob:hunter2%@h1",
        "redis://bob:hunter2%ff@h1",
        "redis://bob:hunter2%0a@h1",
        "redis://hunter2@h1",
        "redis://bob:hunter2",
        "redis://bob:hunter2%40h1",
        "redis:bob:hunter2@h1",
        "redis://h1?password=hunter2",
        // A password with a character that ends another part.
        "postgres://bob:hunter2",
        "postgres:bob:hunter2@h1/d",
        "postgres://bob:hunter2@",
        "postgres://bob:hunter2@h1",
        "postgres://bob:hunter2@/d",
        "postgres://bob:hunter2@h1:x/d",
        "postgres://bob:hunter2@h 1/d",
        "postgres://bob:hunter2%zz@h1/d",
        "postgres://bob:hunter2%ff@h1/d",
        "postgres://bob:hun/hunter2@h1/d",
        "postgres://bob:x?hunter2@h1/d",
        "postgres://bob:x#hunter2@h1/d",
        "postgres://bob:x@hunter2@h1/d",
        "postgres://bob:hunter2@h1,h2/d",
        "postgres://bob:hunter2@[::1/d",
        "postgres://bob:hunter2@h1/d?tabel=x",
        "postgres://bob:hunter2@h1/d?sslmode=always",
        "mysql://bob:hunter2@h1/d/e",
        "mysql://bob:hunter2@%2Frun%2Fx.sock:1/d",
        "mariadb://bob:hunter2;x@h1",
        "pg://bob:hunter2@h1/d",
        "sqlite://bob:hunter2@h1/x.db",
        "redis://h1?password=hunter2%ff",
        "redis-cluster://h1,bob:hunter2@h2",
        "redis-cluster://bob:hunter2@h1/shop",
        "redis-sentinel://bob:hunter2@h1",
        "redis-sentinel://h1/n?sentinel_password=hunter2%ff",
        "redis-sentinel://h1/n?sentinel_user=hunter2",
        "redis+unix://bob:hunter2@",
        "redis+unix://bob:hunter2@h1/run/redis.sock",
        "rediss://bob:hunter2@h1?ca=/none",
        "redi://bob:hunter2@h1",
        "//bob:hunter2@h1",
        "bob:hunter2@h1:11211",
    ] {
        let error = refused(url).await;
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(refused("memcached://bob:hunter2@h1").await.contains("credentials(user, password)"));
}

/// Each form of each part either opens the store or is refused with the form to write instead.
#[tokio::test]
async fn every_form_of_every_part_opens_or_names_the_form_to_write() {
    let opens = [
        "memory:",
        "MEMORY:",
        "Memory:?capacity=5",
        "memory:?capacity=%35",
        "memcached://127.0.0.1",
        "memcached://127.0.0.1:11212",
        "MemCached://localhost",
        "memcached://cache_1.example.:1",
        "memcached://[::1]",
        "memcached://[::1]:11211/shop",
        "memcached://a,b:1,[2001:db8::3]:65535",
        "memcached://%2Frun%2Fmemcached.sock",
        "memcached://unix:%2Frun%2Fmemcached.sock/shop",
        "memcached://a/shop",
        "memcached://a/shop%2Fmain",
        "memcached://a/shop%2C1%3A",
        "memcached://a?cache=0",
        "redis://127.0.0.1",
        "REDIS://localhost:6380",
        "redis://[::1]:6379/0",
        "redis://a/15?prefix=shop&timeout_ms=250&connect_timeout_ms=500&connections=1&replicas=1&tracking_ms=1000&cache=16",
        "redis://bob:p%40ss%2Fw%3A%25:rd@a",
        "redis://:secret@a",
        "redis://b%3Aob:secret@a",
        "rediss://a",
        "redis+unix:///run/redis.sock",
        "redis+unix://:secret@/run/my%2Dredis.sock?database=2",
        "redis-cluster://a",
        "redis-cluster://bob:secret@a,b:6380,[::1]:6381?prefix=shop%3Amain",
        "rediss-cluster://a,b",
        "redis-sentinel://a,b:26380/sessions",
        "redis-sentinel://bob:secret@a/sessions/2?sentinel_user=s&sentinel_password=t",
        "redis-sentinel://a/sessions?sentinel_password=t%25",
        "rediss-sentinel://a/sessions",
    ];
    for url in opens {
        let store = connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(url.to_lowercase().starts_with(store.name()), "{url}: {}", store.name());
        if url.starts_with("redis") {
            let url = url.replacen("redis", "valkey", 1);
            assert_eq!(connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}")).name(), "redis");
        }
    }
    let refusals: &[(&str, &[&str])] = &[
        // A missing or unknown scheme, or characters that no URL has.
        ("the store URL is empty: write `memory:`", &[""]),
        (
            "has no scheme: write `memory:`, `file:DIR`, `memcached://HOST` or `redis://HOST`",
            &["sessions", ":", "://h", "1a:x", "a_b:x"],
        ),
        ("has no scheme: write `memory:`", &["memory"]),
        ("has no scheme: write `file:/var/lib/x`", &["/var/lib/x"]),
        ("has no scheme: write `file:./x:y`", &["./x:y"]),
        ("write `memcached://localhost:11211`", &["localhost:11211"]),
        ("write `redis://localhost:6379`", &["localhost:6379"]),
        ("write `postgres://USER@localhost:5432/DATABASE`", &["localhost:5432"]),
        ("write `mysql://USER@localhost:3306/DATABASE`", &["localhost:3306"]),
        ("is unknown: did you mean `memcached`?", &["memcache://h"]),
        ("is unknown: the schemes are memory, file, memcached, redis,", &["oracle://h", "c:/x"]),
        ("is unknown: did you mean `redis`?", &["redi://h", "reds://h"]),
        ("is unknown: did you mean `redis-cluster`?", &["redis-clusters://h"]),
        ("line break or another control character", &["memory:\n", "\nmemory:", "file:/x\0", "memcached://a\tb"]),
        ("has a space: remove it, or write `%20`", &[" memory:", "memory: ", "memcached://a b", "file:/my dir"]),
        (
            "write `%23` for the character",
            &["memcached://a#shop", "memcached://a/shop#1", "file:/x#y", "memory:#", "memory:?capacity=5#", "file:#"],
        ),
        (
            "write `%25` for the character",
            &["file:/x%", "file:/x%2", "file:/x%zz", "memcached://a/%h", "memcached://a%"],
        ),
        ("is not UTF-8 when percent-decoded", &["file:/x%ff", "memcached://a%ff", "memory:?snapshot=/x%ff"]),
        (
            "has a control character when percent-decoded",
            &["file:/x%00", "file:/x%0A", "memcached://a%00", "memcached://a/x%0d%0aset", "memory:?snapshot=/x%00"],
        ),
        // Options.
        ("ends in `?`: remove it", &["memory:?", "file:/x?", "memcached://a?"]),
        (
            "an option without a name: write `name=value`",
            &[
                "memory:?&",
                "memory:?=5",
                "memory:?capacity=5&",
                "memory:?&capacity=5",
                "memory:?capacity=5&&bytes=100000",
            ],
        ),
        ("option `snapshot` has no value: write `snapshot=…`", &["memory:?snapshot=", "memory:?snapshot"]),
        ("option `capacity` has no value: write `capacity=…`", &["memory:?capacity=&bytes=100000"]),
        ("option `create` has no value", &["file:/x?create=", "file:/x?create"]),
        ("option `list` has no value", &["memcached://a?list="]),
        ("is unknown: did you mean `capacity`?", &["memory:?Capacity=5", "memory:?capacty=5"]),
        ("is unknown: `file:` takes durability", &["file:/x?mode=rw", "FILE:/x?mode=rw"]),
        ("is given twice", &["memory:?capacity=1&capacity=1"]),
        ("write `&` between options, or `%3B`", &["memory:?capacity=5;bytes=100000", "memory:?snapshot=/x;capacity=5"]),
        ("write `&` between options, or `%3F`", &["memory:?snapshot=/x?capacity=5"]),
        ("write `&` between options, or `%3D`", &["memory:?snapshot=/x,capacity=5"]),
        ("write `%20` for a space, or `%2B`", &["memory:?snapshot=/my+dir/x"]),
        ("it takes a whole number", &["memory:?capacity=1e3", "memory:?capacity=-1", "memory:?capacity=1_000"]),
        ("it takes a whole number", &["file:/x?cache=all", "memcached://a?timeout_ms=1s", "memory:?bytes=0x10000"]),
        ("it takes yes, no", &["file:/x?create=true", "file:/x?create=1"]),
        ("did you mean `yes`?", &["file:/x?create=Yes"]),
        ("it must be 1 to", &["memory:?capacity=0"]),
        ("it must be longer", &["memory:?sweep_interval_s=0"]),
        ("`snapshot_path` is not", &["memory:?snapshot_interval_s=5"]),
        (
            "allowed: 1 ms to 60 s",
            &["memcached://a?timeout_ms=0", "memcached://a?connect_timeout_ms=18446744073709551615"],
        ),
        // Paths.
        ("names a directory: give the path of a file in it", &["memory:?snapshot=/x/"]),
        ("names no file", &["memory:?snapshot=.", "memory:?snapshot=/x/.."]),
        (
            "only a shell replaces: write the whole path, or `%7E`",
            &["file:~/x", "file:~", "file:~bob/x", "file:///~/x", "file:/~/x", "memory:?snapshot=~/x"],
        ),
        (
            "variables are not replaced: write the value, or `%24`",
            &["file:$HOME/x", "file:/x/${A}", "memory:?snapshot=$D/x"],
        ),
        ("write `file:DIR`", &["file:", "file://", "file:?create=yes", "file://?create=yes", "file://localhost"]),
        ("names the root directory: write `file:/DIR`", &["file:/", "file:///", "file:////", "file://localhost/"]),
        ("begins with `//`: write one `/`", &["file:////var/x", "file://localhost//var/x"]),
        ("write `file:/relative/x`, or `file:relative/x`", &["file://relative/x"]),
        ("write `file:/relative`, or `file:relative`", &["file://relative"]),
        ("names the host \"127.0.0.1\"", &["file://127.0.0.1/x"]),
        ("or `file:./x`", &["file://./x"]),
        ("names the host \"~\"", &["file://~/x"]),
        ("takes no user, password or host", &["file://bob@h/x"]),
        ("write `?` before the options, or `%26`", &["file:/x&create=yes"]),
        ("write `?` before the options, or `%3B`", &["file:/x;create=yes"]),
        #[cfg(unix)]
        ("write `/` between directories, or `%5C`", &["file:C:\\x", "file:\\\\server\\x"]),
        // Schemes that take options only.
        ("takes no path, but has \"//\": write `memory:`", &["memory://"]),
        ("takes no path", &["memory:/x", "memory:x", "memory:///", "memory://localhost", "memory:::"]),
        ("write `?` before the options", &["memory:capacity=5", "memory:/capacity=5"]),
        // Servers.
        ("has no `//`: write `memcached://HOST`", &["memcached:"]),
        ("has no `//`: write `memcached://a:1`", &["memcached:a:1"]),
        ("has no `//`: write `memcached://%2Frun%2Fm.sock`", &["memcached:/run/m.sock"]),
        ("names no server: write `memcached://HOST`", &["memcached://", "memcached:///", "memcached://?list=warn"]),
        (
            "write `memcached://%2Frun%2Fmemcached.sock` for a Unix socket, or `memcached://HOST/run/memcached.sock`",
            &["memcached:///run/memcached.sock", "memcached:////run/memcached.sock"],
        ),
        (
            "write `memcached://%2Frun%2Fm.sock` for a Unix socket",
            &["memcached://unix:/run/m.sock", "memcached://unix:///run/m.sock", "memcached://a,unix:/run/m.sock"],
        ),
        (
            "an empty server in its list: write `memcached://HOST,HOST`",
            &["memcached://a,,b", "memcached://a,", "memcached://,a", "memcached://,", "memcached://a,/shop"],
        ),
        (
            "pass each server separately",
            &["memcached://a;b", "memcached://a;b/shop", "memcached://a:1|b:1", "memcached://a%2Cb"],
        ),
        ("a second scheme", &["memcached://a,memcached://b", "memcached://http://a"]),
        ("between 1 and 65535", &["memcached://a:", "memcached://a:0", "memcached://a:65536", "memcached://a:x"]),
        (
            "between 1 and 65535",
            &["memcached://a:%2B80", "memcached://a:-1", "memcached://[::1]:", "memcached://a:/shop"],
        ),
        ("the host is missing", &["memcached://:11211", "memcached://:11211/shop", "memcached://a,:1"]),
        ("in brackets: `[::1]`", &["memcached://::1", "memcached://::1:11211", "memcached://a:1:2"]),
        (
            "no IPv6 address",
            &["memcached://[]", "memcached://[a]", "memcached://[127.0.0.1]:1", "memcached://[::1%25eth0]"],
        ),
        ("its `[` is not closed", &["memcached://[::1"]),
        ("a `]` is followed by", &["memcached://[::1]11211"]),
        (
            "letters, digits",
            &["memcached://~", "memcached://a&b", "memcached://*", "memcached://$HOST", "memcached://a..b"],
        ),
        ("a port follows a host", &["memcached://11211", "memcached://127.1", "memcached://256.0.0.1"]),
        ("a socket's path is absolute", &["memcached://unix:run", "memcached://unix:"]),
        ("twice", &["memcached://a,a:11211"]),
        (
            "secrets are not taken",
            &["memcached://bob@a", "memcached://@a", "memcached://a/shop@1", "memcached://a%40b"],
        ),
        // The prefix.
        ("ends in `/` and no prefix follows: remove it", &["memcached://a/", "memcached://a,b/?list=warn"]),
        (
            "has a `/`: write one word after the servers, or `%2F`",
            &["memcached://a/b/c", "memcached://a//b", "memcached://a/b/"],
        ),
        ("has a separator", &["memcached://a/shop,b", "memcached://a/shop;b", "memcached://a/shop&list=warn"]),
        ("ends in a colon, and one is added", &["memcached://a/shop:"]),
        ("no space", &["memcached://a/my%20shop"]),
        // Redis: the servers.
        ("has no `//`: write `redis://HOST/DATABASE`", &["redis:", "redis:a", "redis:/a", "redis:a:6379"]),
        ("has no `//`: write `valkey-cluster://HOST,HOST`", &["valkey-cluster:a"]),
        (
            "names no server: write `redis://HOST/DATABASE`",
            &["redis://", "redis:///", "redis://?cache=1", "redis://:p@"],
        ),
        ("names no server: write `redis-cluster://HOST,HOST`", &["redis-cluster://", "redis-cluster:///x"]),
        ("names no server: write `rediss-sentinel://HOST,HOST/NAME`", &["rediss-sentinel:///name"]),
        ("write `redis+unix:///run/redis.sock` for a Unix socket", &["redis:///run/redis.sock"]),
        ("write `valkey+unix:///run/redis.sock` for a Unix socket", &["valkeys:///run/redis.sock"]),
        (
            "write `redis-cluster://HOST,HOST` for a cluster, or `redis-sentinel://HOST,HOST/NAME` for Sentinels",
            &["redis://a,b", "redis://a,b/0"],
        ),
        (
            "an empty server in its list: write `redis-cluster://HOST,HOST`",
            &["redis-cluster://a,", "redis-cluster://,a"],
        ),
        ("whose port is not a number", &["redis://a:x", "redis://a:%2B80", "redis-cluster://a,b:-1"]),
        ("between 1 and 65535", &["redis://a:0", "redis://a:65536", "redis-sentinel://a:/name", "redis://a:"]),
        ("in brackets: `[::1]`", &["redis://::1", "redis://1:2:3"]),
        ("no IPv6 address", &["redis://[]", "redis://[a]", "redis-cluster://[1.2.3.4]"]),
        ("letters, digits", &["redis://~", "redis://a..b", "redis-cluster://a,*"]),
        ("a port follows a host", &["redis://6379", "redis://127.1"]),
        ("in the place of a server", &["redis://a%40b", "redis://%2Frun%2Fredis.sock"]),
        ("twice", &["redis-cluster://a,a:6379", "redis-sentinel://a,a:26379/n"]),
        // Redis: user and password.
        (
            "without a password before it: write `redis://USER:PASSWORD@HOST/DATABASE`, `redis://:PASSWORD@",
            &["redis://@a", "redis://bob@a", "redis://bob:@a", "redis://:@a"],
        ),
        ("an `@` or a `,` in the place of the user", &["redis://a:b@c@d", "redis-cluster://a,b:c@d"]),
        ("has an `@` behind a `/`", &["redis://bob:a/b@h", "redis-sentinel://a/b@c", "redis+unix:///run/a@b"]),
        ("has an `@` behind its `?`", &["redis://bob:a?b@h"]),
        ("password can't be percent-decoded", &["redis://bob:%@h", "redis://bob:%ff@h", "redis://bob:%00@h"]),
        ("user can't be percent-decoded", &["redis://%zz:p@h"]),
        (
            "user and password stand before the servers: write `redis://USER:PASSWORD@…`",
            &["redis://h?password=p", "redis://h?user=u", "redis://h?username=u", "redis://h?auth=p"],
        ),
        // Redis: what follows the servers.
        ("no database follows: remove it, or write `redis://HOST/0`", &["redis://a/", "redis://a:1/?cache=1"]),
        (
            "it is a number such as 0; write `?prefix=NAME`",
            &["redis://a/shop", "redis://a/-1", "redis://a/1/", "redis://a/+1"],
        ),
        (
            "it is a number",
            &["redis://a/4294967296", "redis://a/%30", "redis-sentinel://a/n/x", "redis-sentinel://a/n/"],
        ),
        ("the database stands behind the server", &["redis://a?db=1", "redis://a?database=1"]),
        ("behind the cluster's nodes, which have one database", &["redis-cluster://a/", "redis-cluster://a,b/0"]),
        (
            "names no primary behind the Sentinels",
            &["redis-sentinel://a", "redis-sentinel://a/", "redis-sentinel://a//1"],
        ),
        ("has \"a\" where a host stands", &["redis+unix://a/run/redis.sock", "redis+unix://a"]),
        ("names no socket: write `redis+unix:///run/redis.sock`", &["redis+unix://", "redis+unix:///"]),
        ("begins with `//`", &["redis+unix:////run/redis.sock"]),
        ("only a shell replaces", &["redis+unix:///~/redis.sock"]),
        ("does not end in `/`", &["redis+unix:///run/"]),
        ("write `database`", &["redis+unix:///run/redis.sock?db=1"]),
        // Redis: options.
        ("is unknown: `redis:` takes prefix", &["redis://a?mode=rw", "redis://a?ca=/x", "redis://a?sentinel_user=u"]),
        ("did you mean `prefix`?", &["redis://a?prefx=shop"]),
        ("ends in a colon, and one is added", &["redis://a?prefix=shop%3A", "redis://a?prefix=shop:"]),
        ("no brace", &["redis://a?prefix=%7Bshop%7D", "redis://a?prefix={shop}"]),
        ("`connections` is 0", &["redis://a?connections=0"]),
        ("`replicas` is 1000", &["redis://a?replicas=1000"]),
        ("`tracking` is 1ms: allowed is 250 ms to 30 s", &["redis://a?tracking_ms=1"]),
        ("allowed is 1 ms to 60 s", &["redis://a?timeout_ms=0", "redis://a?connect_timeout_ms=60001"]),
        ("`sentinel_user` without `sentinel_password`", &["redis-sentinel://a/n?sentinel_user=u"]),
        ("option `ca` is \"/none\": No such file", &["rediss://a?ca=/none"]),
        ("a certificate", &["rediss://a?ca=/dev/null"]),
        // Databases with a server.
        (
            "has no `//`: write `postgres://USER:PASSWORD@HOST/DATABASE`",
            &["postgres:", "postgresql:", "postgres:shop", "postgres:bob@h/shop", "postgres:/run/x"],
        ),
        ("has no `//`: write `mysql://USER:PASSWORD@HOST/DATABASE`", &["mysql:bob@h/shop", "mariadb:x"]),
        (
            "names no user: write `postgres://USER:PASSWORD@HOST/DATABASE`",
            &["postgres://", "postgres:///", "postgres:///shop", "postgres://h/shop", "postgres://@h/shop"],
        ),
        ("names no user", &["postgres://:pw@h/shop", "mysql://h", "mysql://localhost:3306/shop"]),
        (
            "names no host: write `postgres://USER@HOST/DATABASE`, or `postgres://USER@%2Frun%2Fpostgresql/DATABASE`",
            &["postgres://bob@", "postgres://bob@/shop", "postgres://bob:pw@/run/postgresql"],
        ),
        ("`mysql://USER@%2Frun%2Fmysqld%2Fmysqld.sock/DATABASE` for a Unix socket", &["mysql://bob@/shop"]),
        (
            "names no database: write `postgres://USER:PASSWORD@HOST/DATABASE`",
            &["postgres://bob@h", "postgres://bob@h/", "postgres://bob@h:5432", "postgres://bob@h?create=yes"],
        ),
        ("a `:` and no password after the user", &["postgres://bob:@h/shop", "mysql://bob:@h/shop"]),
        ("has two `@`", &["postgres://bob:p@ss@h/shop", "postgres://bob@x@h/shop"]),
        (
            "has an `@` after the host: write `%40`",
            &["postgres://bob:p/w@h/shop", "postgres://bob:p?w@h/shop", "postgres://bob@h/shop@1"],
        ),
        ("several servers, and sessions are on one", &["postgres://bob@h1,h2/shop", "mysql://bob@h1,h2:1/shop"]),
        ("between 1 and 65535", &["postgres://bob@h:/shop", "postgres://bob@h:0/shop", "mysql://bob@h:65536/shop"]),
        ("between 1 and 65535", &["postgres://bob@%2Frun%2Fpostgresql:x/shop"]),
        ("the host is missing", &["postgres://bob@:5432/shop"]),
        ("in brackets: `[::1]`", &["postgres://bob@::1/shop"]),
        ("letters, digits", &["postgres://bob@~/shop", "postgres://bob@$HOST/shop", "postgres://bob@a%2Cb/shop"]),
        ("does not end in `/`", &["postgres://bob@%2Frun%2Fpostgresql%2F/shop"]),
        ("a port after its socket, which has none", &["mysql://bob@%2Frun%2Fmysqld.sock:3306/shop"]),
        ("user can't be percent-decoded: write `%25`", &["postgres://b%ob@h/shop", "postgres://b%00b@h/shop"]),
        ("password can't be percent-decoded: write `%25`", &["postgres://bob:100%@h/shop", "mysql://bob:%ff@h/shop"]),
        ("`%2F` for the character", &["postgres://bob@h/shop/", "mysql://bob@h/shop/main"]),
        ("has a separator in the database's name", &["postgres://bob@h/shop&create=yes", "mysql://bob@h/a,b"]),
        ("is unknown: did you mean `postgres`?", &["postgre://bob@h/shop", "postgress://bob@h/shop"]),
        ("is unknown: did you mean `sslmode`?", &["postgres://bob@h/shop?ssl-mode=require"]),
        ("is unknown: did you mean `ssl-mode`?", &["mysql://bob@h/shop?sslmode=REQUIRED"]),
        ("is unknown: `mysql:` takes table", &["mysql://bob@h/shop?schema=x", "mysql://bob@h/shop?charset=utf8mb4"]),
        ("it takes disable, allow", &["postgres://bob@h/shop?sslmode=yes"]),
        ("did you mean `require`?", &["postgres://bob@h/shop?sslmode=required"]),
        ("did you mean `REQUIRED`?", &["mysql://bob@h/shop?ssl-mode=REQUIRE"]),
        ("it takes yes, no", &["postgres://bob@h/shop?create=true", "postgres://bob@h/shop?prepared_statements=0"]),
        ("allowed is 1 to 1,000", &["postgres://bob@h/shop?connections=0", "mysql://bob@h/shop?connections=1001"]),
        ("allowed are letters, digits and `_`", &["postgres://bob@h/shop?table=a%22b", "mysql://bob@h/shop?table=1x"]),
        ("allowed are letters, digits and `_`", &["postgres://bob@h/shop?schema=a.b", "sqlite::memory:?table=a%20b"]),
        // Files of SQLite.
        ("names no file: write `sqlite:PATH`", &["sqlite:", "sqlite://", "sqlite:?create=yes", "sqlite://localhost"]),
        ("names the root directory: write `sqlite:/PATH`", &["sqlite:/", "sqlite:///"]),
        ("names a directory: write `sqlite:PATH`, a file in it", &["sqlite:/var/lib/", "sqlite:x/"]),
        ("write `sqlite:/x.db`, or `sqlite:x.db`", &["sqlite://x.db"]),
        ("write `sqlite:/relative/x.db`, or `sqlite:relative/x.db`", &["sqlite://relative/x.db"]),
        ("a URI of SQLite: write `sqlite:PATH`", &["sqlite:file:x.db"]),
        ("write `sqlite::memory:` for a database in memory", &["sqlite::x", "sqlite::memory", "sqlite::memory:x"]),
        ("only a shell replaces", &["sqlite:~/x.db"]),
        ("variables are not replaced", &["sqlite:$HOME/x.db"]),
        ("write `?` before the options, or `%26`", &["sqlite:x.db&create=yes"]),
        ("takes no user, password or host", &["sqlite://bob@h/x.db"]),
        ("is unknown: `sqlite:` takes table", &["sqlite:x.db?mode=rwc"]),
        ("did you mean `data`?", &["sqlite:x.db?durability=date"]),
    ];
    let mut others = Vec::new();
    for (why, urls) in refusals {
        for url in *urls {
            match connect(url).await {
                Ok(_) => others.push(format!("{url:?} opens")),
                Err(error) if error.to_string().contains(why) => {}
                Err(error) => others.push(format!("{url:?}: {error}")),
            }
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[tokio::test]
async fn all_forms_of_a_path_name_one_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("a b#~$;é").display().to_string();
    let encoded =
        path.replace(' ', "%20").replace('#', "%23").replace('~', "%7E").replace('$', "%24").replace(';', "%3B");
    let options = "?durability=none&create=";
    let store = connect(&format!("file:{encoded}{options}yes")).await.expect("a directory that is made");
    holds_a_session(&store).await;
    for form in ["file:", "FILE:", "file://", "file://localhost", "file://LocalHost"] {
        let store =
            connect(&format!("{form}{encoded}{options}no")).await.unwrap_or_else(|error| panic!("{form}: {error}"));
        let id = SessionId::for_epoch("any id will do");
        assert!(store.load(&id).await.expect("a store that is open").is_some(), "{form}");
    }
    // A path without a slash is relative to the working directory, and the error shows that directory.
    let missing = refused("file:no-such-directory-of-sessions").await;
    let here = std::env::current_dir().expect("it has one").join("no-such-directory-of-sessions");
    assert!(missing.contains(&here.display().to_string()), "{missing}");
}

/// An error never suggests creating what exists, and always gives the operating system's reason.
#[cfg(unix)]
#[tokio::test]
async fn a_store_that_can_not_be_opened_says_why() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("file"), "").expect("a temporary directory");
    symlink(at("nowhere"), at("link")).expect("a temporary directory");
    symlink(at("loop"), at("loop")).expect("a temporary directory");
    let missing = "No such file or directory (os error 2)";
    let no_directory = "Not a directory (os error 20)";
    let create = "add the option `create=yes`";
    let long = "x".repeat(300);
    let cases = [
        (format!("file:{}", at("none")), missing, true),
        (format!("file:{}?create=no", at("none/below")), missing, true),
        (format!("file:{}", at("link")), missing, false),
        (format!("file:{}", at("loop")), "Too many levels of symbolic links (os error 40)", false),
        (format!("file:{}/below", at("file")), no_directory, false),
        (format!("file:{}/below?create=yes", at("file")), no_directory, false),
        (format!("file:{}?create=yes", at("link")), "File exists (os error 17)", false),
        (format!("file:{}?create=yes", at(&long)), "File name too long (os error 36)", false),
        ("file:/proc/self/sessions?create=yes".to_owned(), missing, false),
        (format!("memory:?snapshot={}/below/s", at("file")), no_directory, false),
        (format!("memory:?snapshot={}", at(&long)), "File name too long (os error 36)", false),
    ];
    for (url, reason, is_hinted) in cases {
        let error = connect(&url).await.expect_err(&url);
        let text = error.to_string();
        assert!(text.contains(reason), "{url}: {text}");
        assert_eq!(text.contains(create), is_hinted, "{url}: {text}");
        let mut causes = std::iter::successors(error.source(), |cause| (**cause).source()).map(ToString::to_string);
        assert!(causes.any(|cause| cause.contains(reason)), "{url}");
    }
    let no_rights = connect(&format!("file:{}", at("file"))).await.expect_err("a file").to_string();
    assert!(no_rights.contains("it is a file, not a directory"), "{no_rights}");
}
