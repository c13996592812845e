//! Requests a second and latencies through HTTP/1.1: all subjects in turn.

use bench_support::http::{self, Answered, Pages, Server, Settings, Summary};

use crate::{
    effort::Effort,
    progress,
    server::Server as Redis,
    subject::{self, Subject},
};

/// What a visitor asks for.
pub(crate) const PAGES: [Pages; 2] = [Pages::Read, Pages::Write];

/// What one subject answered.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) subject: Subject,
    pub(crate) pages: Pages,
    pub(crate) connections: usize,
    /// Answers a second, in each round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) all: Summary,
}

pub(crate) fn measure(crowds: &[usize], effort: Effort) -> Vec<Loaded> {
    let redis = Redis::start();
    let serve =
        |subject: Subject| Server::start(&["child-serve".to_owned(), subject.argument(), redis.port().to_string()]);
    let servers = subject::ALL.map(|subject| (subject, serve(subject)));
    let mut loaded = Vec::new();
    for &connections in crowds {
        let settings = Settings { connections, time: effort.load };
        for pages in PAGES {
            progress(&format!("{} through HTTP by {connections} connections", pages.name()));
            let mut answered: [Vec<Answered>; subject::ALL.len()] = Default::default();
            for _ in 0..effort.loads {
                for ((_, server), all) in servers.iter().zip(&mut answered) {
                    all.push(http::ask(server.port(), pages, settings));
                }
            }
            loaded.extend(servers.iter().zip(&answered).map(|((subject, _), all)| Loaded {
                subject: *subject,
                pages,
                connections,
                rounds: all.iter().map(Answered::rate).collect(),
                all: Summary::of(all),
            }));
        }
    }
    loaded
}
