//! Requests per second and latencies over HTTP/1.1: all subjects in turn.

use bench_support::{
    http::{self, Answered, Pages, Server, Settings, Summary},
    measure::median,
};

use crate::{
    effort::Effort,
    progress,
    server::Server as Redis,
    subject::{self, Subject},
};

/// The pages that are requested.
const PAGES: [Pages; 2] = [Pages::Read, Pages::Write];

/// The measurements of one subject.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) subject: Subject,
    pub(crate) pages: Pages,
    pub(crate) connections: usize,
    /// Responses per second, in each round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) all: Summary,
    /// The processor time of a request in microseconds, as the median of the rounds: in the subject, and in the Redis
    /// server.
    pub(crate) subject_time: f64,
    pub(crate) redis_time: f64,
}

/// Loads all subjects. `of_store` is the number of this crate's connections, if not its default.
pub(crate) fn measure(crowds: &[usize], of_store: Option<usize>, effort: Effort) -> Vec<Loaded> {
    let redis = Redis::start();
    let serve = |subject: Subject| {
        let mut arguments = vec!["child-serve".to_owned(), subject.argument(), redis.port().to_string()];
        arguments.extend(of_store.map(|connections| format!("--connections={connections}")));
        Server::start(&arguments)
    };
    let servers = subject::ALL.map(|subject| (subject, serve(subject)));
    let mut loaded = Vec::new();
    for &connections in crowds {
        let settings = Settings { connections, time: effort.load };
        for pages in PAGES {
            progress(&format!("{} through HTTP by {connections} connections", pages.name()));
            let mut rounds: [Vec<Round>; subject::ALL.len()] = Default::default();
            for _ in 0..effort.loads {
                for ((_, server), rounds) in servers.iter().zip(&mut rounds) {
                    rounds.push(one(server, &redis, pages, settings));
                }
            }
            loaded.extend(servers.iter().zip(rounds).map(|((subject, _), rounds)| {
                let middle = |time: fn(&Round) -> f64| median(rounds.iter().map(time).collect());
                let (subject_time, redis_time) = (middle(|round| round.subject), middle(|round| round.redis));
                let all: Vec<_> = rounds.into_iter().map(|round| round.answered).collect();
                let rounds = all.iter().map(Answered::rate).collect();
                let all = Summary::of(&all);
                Loaded { subject: *subject, pages, connections, rounds, all, subject_time, redis_time }
            }));
        }
    }
    loaded
}

struct Round {
    answered: Answered,
    subject: f64,
    redis: f64,
}

fn one(server: &Server, redis: &Redis, pages: Pages, settings: Settings) -> Round {
    let before = (server.processor_time(), redis.processor_time());
    let answered = http::ask(server.port(), pages, settings);
    let (subject, redis) = (server.processor_time() - before.0, redis.processor_time() - before.1);
    let of_request = |seconds: f64| seconds * 1e6 / answered.sent as f64;
    Round { subject: of_request(subject), redis: of_request(redis), answered }
}
