//! This program again, in a process of its own, so that what one subject leaves behind is not in another's numbers.

use std::process::Command;

use serde::de::DeserializeOwned;

/// What the child printed, as JSON.
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
