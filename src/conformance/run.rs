//! Runs all checks.

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

/// Runs every check, each with a fresh and empty store from `open`.
///
/// The report says which sentences are broken and what could not be checked; [`Report::assert_passed`] turns it into a
/// test. [`tests!`](super::tests) generates one test for each check instead.
///
/// If the store has its own clock, checks really wait, and up to eight run at once. Otherwise they run one after
/// another. If the first check finds that the store doesn't read the harness's manual clock, the others are skipped,
/// since they would fail for the same reason.
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

/// How many waiting checks run at once.
const AT_ONCE: usize = 8;

/// Fails a test of [`tests!`](super::tests) if its check failed.
#[doc(hidden)]
#[track_caller]
pub fn verdict(outcome: &Outcome) {
    outcome.assert_passed();
}

/// Returns the check with this name.
#[doc(hidden)]
#[must_use]
pub fn find(name: &str) -> &'static Check {
    checks().iter().find(|check| check.name == name).expect("the macro and the list are made of one list")
}

/// Generates one `#[tokio::test]` for each check of the kit, so that a failing test names its sentence.
///
/// The argument is an `async fn` or a closure that returns a [`Harness`](crate::conformance::Harness) with a fresh,
/// empty store. Invoke the macro in a separate module, because the tests are named after the checks. The crate needs
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
