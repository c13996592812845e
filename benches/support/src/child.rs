//! Runs this program again as a child process, so that one subject's leftovers don't affect another's numbers.

use std::process::Command;

use serde::de::DeserializeOwned;

/// Runs a child and parses the JSON that it printed.
pub fn ask<T: DeserializeOwned>(arguments: &[String]) -> T {
    let output = command(arguments).output().expect("this program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("what this program printed")
}

pub fn command(arguments: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(arguments);
    command
}
