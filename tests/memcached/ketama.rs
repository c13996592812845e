//! The ring agrees with libmemcached's, over real servers.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::{server::Memcached, support::*};

/// The commands that install the client built on libmemcached where these tests look for it.
const INSTALL: &str = "apt-get install -y libmemcached-dev python3-dev python3-venv zlib1g-dev && \
                       python3 -m venv target/pylibmc && target/pylibmc/bin/pip install pylibmc";

/// 10,000 keys that pylibmc has set are where this store looks for them.
#[tokio::test]
async fn ten_thousand_keys_are_where_libmemcached_puts_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/pylibmc/bin/python");
    assert!(python.exists(), "pylibmc is not installed; in {}: {INSTALL}", root.display());
    let servers = Memcached::cluster(11);
    let store = store(&servers);
    let ids: Vec<_> = (0..10_000).map(|_| id()).collect();
    let mut child = Command::new(python)
        .arg(root.join("tests/support/ketama.py"))
        .args(servers.iter().map(Memcached::address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut input = child.stdin.take().expect("piped");
    let keys: String = ids.iter().map(|id| format!("session:{id}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(keys.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().unwrap().expect("python reads");
    assert!(output.status.success());
    let placed: Vec<usize> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(placed.len(), ids.len());
    let others: Vec<_> = ids.iter().zip(&placed).filter(|(id, server)| store.server_of(id) != **server).collect();
    assert!(others.is_empty(), "{} of 10,000 are elsewhere", others.len());
    for server in 0..servers.len() {
        assert!(placed.contains(&server), "server {server} has none");
    }
}
