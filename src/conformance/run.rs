//! How all checks are run.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Harness, Outcome, Report, check::Check, checks::checks, race};
use crate::store::SessionStore;

/// Runs every check, each over a store that `open` makes: fresh and empty.
///
/// The report says which sentences are broken and what could not be checked; [`Report::assert_passed`] makes a test of
/// it. [`tests!`](super::tests) makes one test of each check instead.
///
/// Checks that really wait, because the store has a clock of its own, are run a few at once; all others one by one.
///
/// # Panics
///
/// Outside a multi-threaded tokio runtime: the interleavings need threads.
pub async fn run<F: Future<Output = Harness>>(open: impl Fn() -> F) -> Report {
    let mut report = Report { store: String::new(), outcomes: Vec::new() };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = Vec::new();
    for check in checks() {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let harness = open().await;
        harness.store().name().clone_into(&mut report.store);
        let waits = !harness.clock.is_manual();
        let run = tokio::spawn(async move {
            let outcome = check.run(harness).await;
            drop(place);
            outcome
        });
        if waits {
            runs.push(run);
        } else {
            report.outcomes.push(race::joined(run).await);
        }
    }
    for run in runs {
        report.outcomes.push(race::joined(run).await);
    }
    report
}

/// How many checks that wait are run at once.
const AT_ONCE: usize = 8;

/// What one test of [`tests!`](super::tests) does.
#[doc(hidden)]
#[track_caller]
#[allow(clippy::print_stderr, reason = "a test's output is where one looks for what it skipped")]
pub fn verdict(outcome: &Outcome) {
    for skip in &outcome.skipped {
        eprintln!("skipped: {skip}");
    }
    if let Some(failure) = &outcome.failure {
        panic!("{failure}");
    }
}

/// The check of this name.
#[doc(hidden)]
#[must_use]
pub fn find(name: &str) -> &'static Check {
    checks().iter().find(|check| check.name == name).expect("the macro and the list are made of one list")
}
