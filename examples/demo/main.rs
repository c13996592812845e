//! A small shop that shows sessions at work, in a browser and with curl.
//!
//! ```text
//! cargo run --example demo
//! listening on http://127.0.0.1:3000
//! ```
//!
//! Besides its pages it has the interface that `tests/demo` uses:
//!
//! | request | does |
//! |---|---|
//! | `GET /` | the page; counts a visit if there is a session |
//! | `GET /devices` | the page of the visitor's devices, with forms to end them |
//! | `GET /operator` | the operator's page: live figures, drawn as small charts |
//! | `GET /api/figures` | the same figures, as JSON |
//! | `GET /metrics` | the crate's metrics, in Prometheus' text format |
//! | `POST /login` form `user`, optional `remember=on` | logs in; 303 to `/` |
//! | `POST /logout` | ends the session; 303 to `/` |
//! | `POST /cart` form `sku`, `qty` | adds to the cart; 303 to `/` |
//! | `GET /api/session` | the session's properties |
//! | `GET`, `PUT`, `DELETE /api/entries/{key}` | an entry, as JSON; `PUT` and `DELETE` take `?delay_ms=N` between load and change |
//! | `POST /api/counters/{key}?delay_ms=N` | adds one and returns the number |
//! | `GET /api/devices` | where the visitor is logged in: id, current, created, last used, description of the device; 401 if not logged in |
//! | `POST /api/devices/{id}/revoke` | ends one of them; 404 for a session that is not the visitor's |
//! | `POST /api/devices/revoke-others` | ends all but this one |
//! | `GET /api/untouched` | answers without using the session |
//! | `GET /api/fail?status=N` | sets the entry `failed`, then answers with that status |
//! | `GET /healthz` | 200 |
//!
//! Changes that a page of another origin requests are refused with 403.
//!
//! - `args`, `failure`, `log`, `server`, `signals`, `store`: the process.
//! - `app`: the router and the layer.
//! - `shop`, `page`, `api`, `figures`: the demo's functions.
//! - `error`, `extract`, `instant`, `origin`: HTTP.

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
