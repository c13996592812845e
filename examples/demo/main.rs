//! A small shop, to see sessions at work from a browser and from curl.
//!
//! ```text
//! cargo run --example demo
//! listening on http://127.0.0.1:3000
//! ```
//!
//! Beside its pages it has the interface that `tests/demo` uses:
//!
//! | request | does |
//! |---|---|
//! | `GET /` | the page; counts a visit if there is a session |
//! | `GET /devices` | the page of the visitor's devices, with forms to end them |
//! | `GET /operator` | the operator's page: live figures, drawn as small charts |
//! | `GET /api/figures` | these figures, as JSON |
//! | `GET /metrics` | what the crate measures, in Prometheus' text form |
//! | `POST /login` form `user`, optional `remember=on` | logs in; 303 to `/` |
//! | `POST /logout` | ends the session; 303 to `/` |
//! | `POST /cart` form `sku`, `qty` | adds to the cart; 303 to `/` |
//! | `GET /api/session` | what the session knows about itself |
//! | `GET`, `PUT`, `DELETE /api/entries/{key}` | an entry, as JSON; the latter two with `?delay_ms=N` between load and change |
//! | `POST /api/counters/{key}?delay_ms=N` | adds one, and answers with the number |
//! | `GET /api/devices` | where the visitor is logged in: id, current, created, last used, what was recorded at the login; 401 for nobody |
//! | `POST /api/devices/{id}/revoke` | ends one of them; 404 for what is none of the visitor's |
//! | `POST /api/devices/revoke-others` | ends all but this one |
//! | `GET /api/untouched` | answers without asking for the session |
//! | `GET /api/fail?status=N` | sets the entry `failed`, then answers with that status |
//! | `GET /healthz` | 200 |
//!
//! Changes that a page of another origin asks for are refused: 403.
//!
//! - `args`, `failure`, `log`, `server`, `signals`, `store`: the process.
//! - `app`: the router and the layer.
//! - `shop`, `page`, `api`, `figures`: what it does.
//! - `error`, `extract`, `instant`, `origin`: how it speaks HTTP.

mod api;
mod app;
mod args;
mod error;
mod extract;
mod failure;
mod figures;
mod instant;
mod log;
mod origin;
mod page;
mod server;
mod shop;
mod signals;
mod store;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;

use self::{args::Args, failure::Failure};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match log::start().map_err(Failure::Log) {
        Ok(()) => server::run(args).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {}", failure.explain());
            ExitCode::FAILURE
        }
    }
}
