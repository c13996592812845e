//! Runs all kinds of operations in turn.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bench_support::{processor, runtime};

use super::{ALL, Kind, clients::Clients};
use crate::{effort::Effort, progress, server::Server};

/// The measurements of one kind with this many concurrent tasks.
#[derive(Debug)]
pub(crate) struct Rates {
    pub(crate) tasks: usize,
    pub(crate) kind: Kind,
    /// Operations per second, in each round.
    pub(crate) rounds: Vec<f64>,
    /// The processor time of an operation in microseconds: in this process, and in the server.
    pub(crate) client: f64,
    pub(crate) server: f64,
}

pub(crate) fn measure(tasks: &[usize], connections: Option<usize>, effort: Effort) -> Vec<Rates> {
    let server = Server::start();
    let most = tasks.iter().copied().max().unwrap_or(1);
    runtime::two_threads().block_on(async {
        let clients = Arc::new(Clients::connect(server.port(), connections, most).await);
        let mut all = Vec::new();
        for &tasks in tasks {
            progress(&format!("operations by {tasks} tasks"));
            let new = |kind| Rates { tasks, kind, rounds: Vec::new(), client: 0.0, server: 0.0 };
            let mut rates = ALL.map(new);
            // The first round, which opens the connections, is not counted.
            for round in 0..=effort.rounds {
                for rates in &mut rates {
                    let done = one(&clients, &server, rates.kind, tasks, effort.round).await;
                    if round > 0 {
                        rates.rounds.push(done.rate);
                        rates.client += done.client / effort.rounds as f64;
                        rates.server += done.server / effort.rounds as f64;
                    }
                }
            }
            all.extend(rates);
        }
        all
    })
}

/// Repeats a single kind, for a profiler.
pub(crate) fn repeat(kind: Kind, tasks: usize, connections: Option<usize>, time: Duration) {
    let server = Server::start();
    runtime::two_threads().block_on(async {
        let clients = Arc::new(Clients::connect(server.port(), connections, tasks).await);
        let done = one(&clients, &server, kind, tasks, time).await;
        progress(&format!(
            "{:.0} operations a second, {:.1} µs here, {:.1} µs there",
            done.rate, done.client, done.server
        ));
    });
}

struct Done {
    rate: f64,
    client: f64,
    server: f64,
}

async fn one(clients: &Arc<Clients>, server: &Server, kind: Kind, tasks: usize, time: Duration) -> Done {
    let before = (processor::time("self"), server.processor_time());
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let clients = Arc::clone(clients);
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < time {
                    for _ in 0..8 {
                        clients.operate(kind, task, done).await;
                        done += 1;
                    }
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in running {
        done += task.await.expect("no panic");
    }
    let (done, seconds) = (done as f64, start.elapsed().as_secs_f64());
    Done {
        rate: done / seconds,
        client: (processor::time("self") - before.0) * 1e6 / done,
        server: (server.processor_time() - before.1) * 1e6 / done,
    }
}
