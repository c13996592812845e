//! Removes expired sessions, and on request those that have not been used for long: for a cron job.
//!
//! ```text
//! cargo run --example sweep -- file:/var/lib/shop/sessions --idle 30d
//! deleted 12, remaining 3456
//! ```
//!
//! It works beside the application's processes, as the same user. The time is a number and `s`, `m`, `h` or `d`.

use std::{error::Error, process::ExitCode, time::Duration};

use session_layer::{Idle, SessionStore, Swept, connect};

const USAGE: &str = "usage: sweep URL [--idle TIME], where URL is a store's, such as file:DIR, and TIME is a number and s, m, h or d, such as 30d";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) idle: Option<Duration>,
}

pub(crate) fn parse(arguments: &[&str]) -> Result<Options, String> {
    let (url, idle): (&&str, _) = match arguments {
        [url] => (url, None),
        [url, "--idle", time] | ["--idle", time, url] => (url, Some(parse_time(time)?)),
        _ => return Err(USAGE.to_owned()),
    };
    Ok(Options { url: (*url).to_owned(), idle })
}

pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a time\n{USAGE}");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

pub(crate) async fn sweep(options: &Options) -> Result<Swept, Box<dyn Error>> {
    let store = connect(&options.url).await?;
    let swept = match options.idle {
        Some(time) => store.delete_idle(Idle::new(time)).await?,
        None => store.sweep().await?,
    };
    store.close().await?;
    Ok(swept)
}

/// An error with its causes, one a line, unless it tells them itself.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (**cause).source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}\n  {cause}");
        }
    }
    text
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks by printing")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match sweep(&options).await {
        Ok(Swept { deleted, remaining }) => {
            println!("deleted {deleted}, remaining {remaining}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}
