//! The demo in headless Chromium, where cookies and scripts are the browser's own business.
//!
//! - `driver`: Chromium, told what to do by WebDriver.
//! - `cookies`, `devices`, `operator`, `pages`: what a person would do, and see.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cookies;
mod devices;
mod driver;
mod operator;
mod pages;
#[path = "../demo/process.rs"]
#[allow(dead_code, reason = "shared with the tests of the demo over plain HTTP")]
mod process;
