//! The command as users run it: its tables, and its message if there is no server.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

fn bench(arguments: &[&str], path: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-redis"));
    if let Some(path) = path {
        command.env("PATH", path).env_remove("REDIS_SERVER");
    }
    command.args(arguments).output().unwrap()
}

#[test]
fn a_quick_run_has_every_operation_and_every_subject_by_each_crowd_and_their_budgets() {
    let output = bench(&["--quick"], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    for (part, count) in [("| 1 task, ", 11), ("| 4 tasks, ", 11), ("| read, 4 connections, ", 7), ("| write, ", 14)] {
        assert_eq!(rows(part), count, "{part}\n{text}");
    }
    assert_eq!(rows("| ×0.85 | PASS |") + rows("| ×0.85 | FAIL |"), 8, "{text}");
    assert_eq!(rows("| ×1.50 | PASS |") + rows("| ×1.50 | FAIL |"), 8, "{text}");
}

#[test]
fn without_a_server_it_says_what_installs_it() {
    let output = bench(&["--quick"], Some(""));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("apt-get install -y redis-server"), "{text}");
}
