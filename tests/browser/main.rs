//! The demo in headless Chromium, with a browser's handling of cookies and scripts.
//!
//! - `driver`: Chromium, controlled through WebDriver.
//! - `cookies`, `devices`, `operator`, `pages`: a person's actions and their results.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cookies;
mod devices;
mod driver;
mod operator;
mod pages;
#[path = "../demo/process.rs"]
#[allow(dead_code, reason = "shared with the tests of the demo over plain HTTP")]
mod process;
