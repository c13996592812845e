//! The same through a real HTTP connection: all subjects in turn.

use bench_support::http::{self, Answered, Pages, Server, Settings, Summary};
use serde::Serialize;

use crate::{effort::Effort, progress, subjects, subjects::Kind};

/// The measurements of one subject over all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Loaded {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    pub(crate) pages: Pages,
    #[serde(flatten)]
    pub(crate) answered: Summary,
}

pub(crate) fn all(settings: Settings, effort: Effort) -> Vec<Loaded> {
    let servers = subjects::ALL.map(|kind| (kind, Server::start(&["child-serve".to_owned(), kind.argument()])));
    let mut answered: Vec<(Kind, Pages, Vec<Answered>)> = Vec::new();
    for pages in http::ALL_PAGES {
        answered.extend(subjects::ALL.map(|kind| (kind, pages, Vec::new())));
    }
    for round in 1..=effort.load_rounds {
        progress(&format!("over HTTP: round {round} of {}", effort.load_rounds));
        for (kind, pages, all) in &mut answered {
            let server = servers.iter().find(|(served, _)| served == kind);
            all.push(http::ask(server.expect("each is served").1.port(), *pages, settings));
        }
    }
    let summed = |(kind, pages, all): (Kind, Pages, Vec<Answered>)| Loaded { kind, pages, answered: Summary::of(&all) };
    answered.into_iter().map(summed).collect()
}
