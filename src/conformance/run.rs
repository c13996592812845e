//! How all checks are run.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    Harness, Outcome, Report,
    bench::Bench,
    check::{CLOCK, Check, other_clock},
    checks::checks,
    race,
};
use crate::store::SessionStore;

/// Runs every check, each over a store that `open` makes: fresh and empty.
///
/// The report says which sentences are broken and what could not be checked; [`Report::assert_passed`] makes a test of
/// it. [`tests!`](super::tests) makes one test of each check instead.
///
/// Checks that really wait, because the store has a clock of its own, are run a few at once; all others one by one. If
/// the first check finds that the store does not read the harness's manual clock, the others are not run: they would
/// fail for no other reason.
///
/// # Panics
///
/// Outside a multi-threaded tokio runtime: the interleavings need threads.
pub async fn run<F: Future<Output = Harness>>(open: impl Fn() -> F) -> Report {
    let mut report = Report { store: String::new(), outcomes: Vec::new() };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = Vec::new();
    let mut skips = false;
    for check in checks() {
        if skips {
            report.outcomes.push(check.not_run("the store does not read the harness's clock"));
            continue;
        }
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
            let outcome = race::joined(run).await;
            if check.name == CLOCK && outcome.failure.is_some() {
                skips = other_clock(Bench::new(open().await)).await;
            }
            report.outcomes.push(outcome);
        }
    }
    for run in runs {
        report.outcomes.push(race::joined(run).await);
    }
    report
}

/// How many checks that wait are run at once.
const AT_ONCE: usize = 8;

/// Fails a test of [`tests!`](super::tests) unless its check has passed.
#[doc(hidden)]
#[track_caller]
pub fn verdict(outcome: &Outcome) {
    outcome.assert_passed();
}

/// The check of this name.
#[doc(hidden)]
#[must_use]
pub fn find(name: &str) -> &'static Check {
    checks().iter().find(|check| check.name == name).expect("the macro and the list are made of one list")
}

/// Writes one `#[tokio::test]` for each check of the kit, so that a failure is listed by its sentence.
///
/// The argument is what makes a [`Harness`](crate::conformance::Harness) over a fresh, empty store: an `async fn` or a
/// closure. It stands in a module of its own, because the tests are named after the checks. The crate that uses it has
/// tokio as a dependency, with the features `macros` and `rt-multi-thread`.
///
/// ```
/// # #[cfg(feature = "memory")]
/// mod memory {
///     use session_layer::{MemoryStore, conformance::{self, Harness}};
///
///     async fn open() -> Harness {
///         let clock = conformance::manual_clock();
///         Harness::new(MemoryStore::with_clock(clock.clone()), clock)
///     }
///
///     conformance::tests!(open);
/// }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($open:expr) => {
        $crate::__conformance_checks! { $crate::__conformance_each, $open }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_each {
    ($open:expr; $($module:ident::$check:ident [$($sentence:literal)*])*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                let harness = ($open)().await;
                let outcome = $crate::conformance::find(stringify!($check)).run(harness).await;
                $crate::conformance::verdict(&outcome);
            }
        )*
    };
}
