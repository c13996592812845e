//! Compares the memcached store with the published async clients, in one run with one real server.
//!
//! ```text
//! cargo run --release -p bench-memcached
//! ```
//!
//! In each round every client loads records of about 512 bytes, on two worker threads. The program prints the medians
//! over the rounds, in operations a second, and the store's ratios to the best published client and to a bare
//! multiplexed one.
#![allow(clippy::print_stdout, reason = "a command that prints a table")]
#![allow(clippy::cast_precision_loss, reason = "rates are rounded anyway")]
#![allow(clippy::unwrap_used, reason = "a bench ends where something fails")]

mod bare;
mod clients;
mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::clients::Clients;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(400);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = server::Server::start();
    let clients = Arc::new(Clients::connect(server.port()).await);
    let names = clients::NAMES;
    println!("loads a second, {ROUNDS} rounds of {ROUND:?} each, interleaved; median (lowest to highest)\n");
    for tasks in [1, 16, 64] {
        let mut rates = vec![Vec::new(); names.len()];
        let mut cpu = vec![0.0; names.len()];
        for round in 0..=ROUNDS {
            for (client, rates) in rates.iter_mut().enumerate() {
                let (rate, micros) = measure(&clients, client, tasks).await;
                // The first round opens the connections and is not counted.
                if round > 0 {
                    rates.push(rate);
                    cpu[client] += micros / ROUNDS as f64;
                }
            }
        }
        let median = |rates: &[f64]| {
            let mut sorted = rates.to_vec();
            sorted.sort_by(f64::total_cmp);
            (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
        };
        println!("{tasks} tasks");
        for ((name, rates), cpu) in names.iter().zip(&rates).zip(&cpu) {
            let (low, middle, high) = median(rates);
            println!("  {name:<46} {middle:>9.0}  ({low:.0} to {high:.0}), {cpu:.1} µs of processor each");
        }
        let middle = |client: usize| median(&rates[client]).1;
        let best = clients::PUBLISHED.map(middle).into_iter().fold(0.0, f64::max);
        println!("  the store compared with the best published one {:>8.2}x", middle(clients::STORE) / best);
        println!(
            "  the store compared with a bare multiplexed one {:>8.2}x",
            middle(clients::STORE) / middle(clients::BARE)
        );
        println!(
            "  update compared with load                      {:>8.2}x\n",
            middle(clients::UPDATE) / middle(clients::STORE)
        );
    }
}

/// Returns the operations a second of this many concurrent tasks, and the microseconds of processor time that each
/// operation took in this process.
async fn measure(clients: &Arc<Clients>, client: usize, tasks: usize) -> (f64, f64) {
    let before = processor_time();
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let clients = Arc::clone(clients);
            tokio::spawn(async move {
                let mut done = 0_u32;
                while start.elapsed() < ROUND {
                    for _ in 0..8 {
                        clients.operate(client, task).await;
                        done += 1;
                    }
                }
                done
            })
        })
        .collect();
    let mut done = 0.0;
    for task in running {
        done += f64::from(task.await.unwrap());
    }
    let seconds = start.elapsed().as_secs_f64();
    (done / seconds, (processor_time() - before) * 1e6 / done)
}

/// Returns this process's user and system time in seconds, which Linux counts in hundredths; elsewhere 0.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
