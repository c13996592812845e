//! Runs the server, from the command line to the shutdown.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use session_layer::SessionStore as _;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};

use crate::{
    app::{self, Lifetimes},
    args::Args,
    extract::Delay,
    failure::Failure,
    figures::{Board, Figures, metrics},
    signals::Signals,
    store,
};

/// How long a stop waits for requests under way: long enough for a request that waits as long as possible for its turn
/// and then takes as long as possible, plus a margin.
const GRACE: Duration = app::TURN.saturating_add(Delay::LONGEST).saturating_add(Duration::from_secs(5));

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let lifetimes = Lifetimes::new(&args)?;
    let ring = store::ring(&args)?;
    // Binds the address first: if it is taken, no store needs closing.
    let in_use = |source| Failure::Listen { address: args.listen.clone(), source };
    let listener = TcpListener::bind(&args.listen).await.map_err(in_use)?;
    let (prometheus, metrics) = metrics::install();
    let store = tokio::select! {
        store = store::open(&args, ring.as_ref(), metrics) => store?,
        signal = signals.next() => {
            tracing::info!(signal, "stopping before the store is open");
            return Ok(());
        }
    };
    let figures = Arc::new(Figures::default());
    let served = match app::layer(&args, store.clone(), ring, lifetimes, (Arc::clone(&figures), metrics)) {
        Ok(layer) => {
            let board = Board::new(figures, layer.sessions(), store.name(), prometheus);
            let served = serve(listener, app::router(layer.clone(), lifetimes, board), &mut signals).await;
            // Waits for logins and logouts whose clients have disconnected.
            if timeout(GRACE, layer.drain()).await.is_err() {
                tracing::warn!(seconds = GRACE.as_secs(), "commits are left that do not end");
            }
            served
        }
        Err(error) => Err(error.into()),
    };
    // Also if serving failed, so that everything that was written so far lasts.
    let closed = store.close().await.map_err(Failure::Close);
    let closed = closed.inspect(|()| tracing::info!("the store is closed"));
    served.and(closed)
}

async fn serve(listener: TcpListener, router: Router, signals: &mut Signals) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(Failure::Serve)?;
    let (stop, stopping) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // A dropped sender means the same as a message: there is nothing left to wait for.
        let _ = stopping.await;
    });
    let mut server = tokio::spawn(server.into_future());
    // If nobody reads the output any more, the server still runs.
    let _ = writeln!(io::stdout(), "listening on http://{address}");
    tokio::select! {
        ended = &mut server => return outcome(ended),
        signal = signals.next() => tracing::info!(signal, "stopping"),
    }
    let _ = stop.send(());
    tokio::select! {
        ended = timeout(GRACE, &mut server) => match ended {
            Ok(ended) => outcome(ended),
            Err(_) => {
                tracing::warn!(seconds = GRACE.as_secs(), "connections are left that do not end");
                Ok(())
            }
        },
        signal = signals.next() => {
            tracing::warn!(signal, "not waiting for requests under way");
            Ok(())
        }
    }
}

fn outcome(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.map_err(io::Error::other).and_then(|served| served).map_err(Failure::Serve)
}
