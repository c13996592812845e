//! Removes expired sessions and, with `--idle`, those that have not been used for that long. Meant for a cron job.
//!
//! ```text
//! cargo run --example sweep -- file:/var/lib/shop/sessions --idle 30d
//! deleted 12, remaining 3456
//! ```
//!
//! It can run beside the application's processes, as the same user. A time is a number followed by `s`, `m`, `h` or
//! `d`. If the application's layer sets `touch_fraction` to anything but 0.1, pass that value: `--touch-fraction 0.5`.
//! Otherwise sessions that were used recently could be deleted.

use std::{error::Error, process::ExitCode, time::Duration};

use session_layer::{
    SessionStore, connect,
    store::{Idle, Swept},
};

const USAGE: &str = "usage: sweep URL [--idle TIME [--touch-fraction FRACTION]], where URL is a store's, such as file:DIR, TIME is a number and \
                     s, m, h or d, such as 30d, and FRACTION is the layer's touch_fraction, from 0 to 1 (default: 0.1)";

/// The options of the command line.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) idle: Option<Idle>,
}

pub(crate) fn parse(arguments: &[&str]) -> Result<Options, String> {
    let (mut url, mut time, mut touch_fraction) = (None, None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (option, value) = match *argument {
            "--idle" => (&mut time, rest.next()),
            "--touch-fraction" => (&mut touch_fraction, rest.next()),
            option if option.starts_with('-') => return Err(format!("{option} is unknown\n{USAGE}")),
            _ => (&mut url, Some(argument)),
        };
        if option.replace(*value.ok_or(USAGE)?).is_some() {
            return Err(USAGE.to_owned());
        }
    }
    let idle = match (time, touch_fraction) {
        (None, None) => None,
        (None, Some(_)) => return Err(format!("--touch-fraction says nothing without --idle\n{USAGE}")),
        (Some(time), None) => Some(Idle::new(parse_time(time)?)),
        (Some(time), Some(fraction)) => Some(Idle::new(parse_time(time)?).touch_fraction(parse_fraction(fraction)?)),
    };
    Ok(Options { url: url.ok_or(USAGE)?.to_owned(), idle })
}

fn parse_fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse().ok().filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| format!("{text} is not a fraction from 0 to 1\n{USAGE}"))
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
    let listing = store.listing().ok_or("this store removes what has expired itself, and can't list its sessions")?;
    let swept = match options.idle {
        Some(idle) => listing.delete_idle(idle).await?,
        None => listing.sweep().await?,
    };
    store.close().await?;
    Ok(swept)
}

/// Returns the error with its causes, one on each line, unless its text already contains them.
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
