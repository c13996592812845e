//! The demo's log, on the standard error.

use std::{io, time::Instant};

use axum::{extract::Request, middleware::Next, response::Response};
use tracing_subscriber::{
    Layer as _,
    filter::{ParseError, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

const DEFAULT: &str = "info";
/// Paths that machines poll.
const POLLED: [&str; 3] = ["/api/figures", "/metrics", "/healthz"];

/// Starts logging. `RUST_LOG` sets the filter, as in `info,session_layer=debug`.
pub(crate) fn start() -> Result<(), ParseError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let targets: Targets = wanted.parse()?;
    // If nobody reads the log any more, the shop goes on selling tea.
    let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
    Ok(())
}

/// Logs one line for each request, without its cookies and its query, which can contain private data.
pub(crate) async fn requests(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begin = Instant::now();
    let response = next.run(request).await;
    let micros = begin.elapsed().as_micros();
    let status = response.status().as_u16();
    if POLLED.contains(&&*path) {
        tracing::debug!(%method, path, status, micros, "request");
    } else {
        tracing::info!(%method, path, status, micros, "request");
    }
    response
}
