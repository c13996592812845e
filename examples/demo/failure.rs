//! The demo's failures.

use std::{error::Error, io};

use session_layer::{ConfigError, ConnectError, LifetimeError, keyring::SecretError, store::StoreError};
use tracing_subscriber::filter::ParseError;

/// A reason why the demo can't start or failed while stopping. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("can't listen on {address}: stop what listens there, or give another address with --listen HOST:PORT")]
    Listen { address: String, source: io::Error },
    #[error("can't open the store: check --store and what it names")]
    Store(#[source] ConnectError),
    #[error("can't use the secret file: make one with `openssl rand -base64 32 > PATH`, readable by you only")]
    Secret(#[source] SecretError),
    #[error("can't use these lifetimes: check --idle and --absolute")]
    Lifetime(#[from] LifetimeError),
    #[error("can't use these settings of the session's cookie")]
    Config(#[from] ConfigError),
    #[error("can't use RUST_LOG: write it as in `info,session_layer=debug`")]
    Log(#[from] ParseError),
    #[error("can't listen for signals of the system")]
    Signals(#[source] io::Error),
    #[error("the server failed: start it again")]
    Serve(#[source] io::Error),
    #[error("the store was not closed cleanly: what was written last may be lost, so look at it before the next start")]
    Close(#[source] StoreError),
}

impl Failure {
    /// Returns the failure with its causes, one on each line, without those whose text is already in the line above.
    pub(crate) fn explain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let why = error.to_string();
            if !text.contains(&why) {
                text.push_str("\n  because ");
                text.push_str(&why);
            }
            cause = error.source();
        }
        text
    }
}
