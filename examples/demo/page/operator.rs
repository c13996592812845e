//! The operator's page: live figures, drawn as small charts.

use axum::{extract::State, response::IntoResponse};
use maud::{Markup, html};

use super::{frame, overtake, parallel};
use crate::figures::{Board, Numbers};

const SCRIPT: &str = include_str!("operator.js");

/// How a figure is drawn. The script reads the variant's name.
enum Drawn {
    /// Its value.
    Level,
    /// Its growth per second.
    Rate,
}

struct Figure {
    /// Its name in `GET /api/figures`.
    name: &'static str,
    title: &'static str,
    about: &'static str,
    drawn: Drawn,
    value: Option<u64>,
}

/// `GET /operator`. It uses no session.
pub(crate) async fn operator(State(board): State<Board>) -> impl IntoResponse {
    let numbers = board.numbers().await;
    let main = html! {
        main {
            div.column {
                section.intro {
                    h1 { "Operator" }
                    p.lead {
                        "What happens to the sessions of this process, asked for twice a second. The store: "
                        strong { (board.store()) } ". The page itself asks for no session, so it keeps none alive."
                    }
                    noscript { p.muted { "Without scripts the figures stand still: load the page again." } }
                    p #silent.bad-news role="status" hidden { "The demo does not answer." }
                }
                div.figures {
                    @for figure in figures(&numbers) { (card(&figure)) }
                    (latencies(&numbers))
                }
            }
            aside.column {
                (parallel::panel())
                (overtake::panel())
                p.muted { "The same for machines: " a href="/metrics" { code { "/metrics" } } }
            }
        }
    };
    frame::page("Operator", html! { a href="/" { "To the shop" } }, main, &[SCRIPT, parallel::SCRIPT, overtake::SCRIPT])
}

fn figures(numbers: &Numbers) -> [Figure; 5] {
    let counted = |name, title, about, value| Figure { name, title, about, drawn: Drawn::Rate, value: Some(value) };
    [
        Figure {
            name: "live",
            title: "Live sessions",
            about: "in the store",
            drawn: Drawn::Level,
            value: numbers.live,
        },
        counted("loads", "Loads", "a request asked for its session", numbers.loads),
        counted("saves", "Saves", "a request had changed it", numbers.saves),
        counted("merged", "Conflicts merged", "two changed it, both kept", numbers.merged),
        counted("blocked", "Blocked resurrections", "a save met a session that had ended", numbers.blocked),
    ]
}

fn card(figure: &Figure) -> Markup {
    let drawn = match figure.drawn {
        Drawn::Level => "level",
        Drawn::Rate => "rate",
    };
    html! {
        section.panel.figure data-figure=(figure.name) data-drawn=(drawn) {
            h2 { (figure.title) }
            p.reading {
                strong.value { @match figure.value { Some(value) => (value), None => "–" } }
                " " span.now.muted {}
            }
            (chart(figure.title, &["now"]))
            p.muted { (figure.about) }
        }
    }
}

fn latencies(numbers: &Numbers) -> Markup {
    let micros = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0} µs"));
    html! {
        section.panel.figure data-figure="latency" data-drawn="latency" {
            h2 { "Store latency" }
            p.reading {
                span.key.p50 { "p50 " strong.value { (micros(numbers.p50)) } } " "
                span.key.p99 { "p99 " strong.value { (micros(numbers.p99)) } }
            }
            (chart("Store latency", &["p99", "p50"]))
            p.muted { "calls of the last ten seconds" }
        }
    }
}

/// A chart of the last half minute, empty until the script draws its lines.
fn chart(title: &str, lines: &[&str]) -> Markup {
    html! {
        svg.chart viewBox="0 0 240 64" preserveAspectRatio="none" role="img" aria-label={ (title) ", the last half minute" } {
            line.base x1="0" x2="240" y1="63.5" y2="63.5" {}
            @for line in lines {
                path.area.(line) d="" {}
                path.line.(line) d="" {}
            }
        }
    }
}
