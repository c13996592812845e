//! The README's commands work as described. Its code is a doc test of the crate.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of the README's first block of commands, without their comments.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let block = readme.split("```console\n").nth(1).expect("a block of commands");
    let block = block.split("```").next().expect("its end");
    block.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn the_readme_names_the_two_commands() {
    assert_eq!(commands(), ["cargo run --example demo", "scripts/test"]);
}

/// `scripts/test` runs this test, so this checks only that it is an executable script.
#[test]
fn the_test_command_is_a_script() {
    let script = root().join("scripts/test");
    assert!(Command::new("bash").arg("-n").arg(&script).status().expect("bash").success());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&script).expect("the script").permissions().mode();
        assert_ne!(mode & 0o100, 0, "scripts/test can't be run");
    }
}

/// Starts the demo as the README does, but on a free port, so that it can run beside another.
#[test]
fn the_demo_starts_and_answers() {
    let command = &commands()[0];
    let mut words = command.split_whitespace();
    let mut demo = Command::new(words.next().expect("a command"))
        .args(words)
        .args(["--quiet", "--", "--listen", "127.0.0.1:0"])
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo");
    let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    let address = lines
        .find_map(|line| line.expect("text").split("http://").nth(1).map(|address| address.trim().to_owned()))
        .expect("the demo prints its address");
    let address = address.trim_end_matches('/').to_owned();
    let mut stream = TcpStream::connect(&address).expect("the demo listens");
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("<html"), "{answer}");
    // On Unix cargo has become the demo by now, so this ends it.
    demo.kill().expect("a child");
    demo.wait().expect("a child");
}

/// Every example that the README and the changelog name exists.
#[test]
fn the_named_examples_exist() {
    for name in ["counter", "typed", "custom_store", "hyper", "testing", "sweep"] {
        assert!(root().join(format!("examples/{name}.rs")).exists(), "{name}");
    }
    assert!(root().join("examples/demo/main.rs").exists());
}
