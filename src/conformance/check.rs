//! A single check, and how it runs.

use std::pin::Pin;

use super::{
    Harness, Outcome, Skip,
    bench::Bench,
    clock,
    verdict::{Stop, Verdict},
};

/// A check: tests a fresh store against one or more sentences of the contract.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Check {
    /// The name, which is also the name of the test that [`tests!`](super::tests) generates.
    pub name: &'static str,
    /// The numbers of the sentences that it checks.
    pub sentences: &'static [&'static str],
    run: fn(Bench) -> Pin<Box<dyn Future<Output = Verdict> + Send>>,
}

/// The name of the check that runs first.
pub(super) const CLOCK: &str = "g4_the_store_reads_the_harness_clock";

/// Added to a failure if the clock may be its cause.
const OTHER_CLOCK: &str = ".\n    This may be because the store does not read the harness's manual clock: see the check \
     g4_the_store_reads_the_harness_clock first";

/// After a failure, how long to wait for the store to show which clock it reads.
const SOON: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether this bench's store ignores the harness's manual clock.
pub(super) async fn other_clock(bench: Bench) -> bool {
    let g4 = bench.about("G4");
    if !g4.exact() {
        return false;
    }
    // In a separate task, since the store may panic, and with a time limit, since it may hang.
    let asked = tokio::spawn(async move { tokio::time::timeout(SOON, clock::mismatch(&g4)).await });
    matches!(asked.await, Ok(Ok(Ok(Some(_)))))
}

impl Check {
    pub(super) const fn new(
        name: &'static str,
        sentences: &'static [&'static str],
        run: fn(Bench) -> Pin<Box<dyn Future<Output = Verdict> + Send>>,
    ) -> Self {
        Self { name, sentences, run }
    }

    /// Runs this check with a fresh store.
    ///
    /// # Panics
    ///
    /// Outside a multi-threaded tokio runtime: the interleavings need threads.
    pub async fn run(&self, harness: Harness) -> Outcome {
        let flavor = tokio::runtime::Handle::current().runtime_flavor();
        assert!(
            flavor == tokio::runtime::RuntimeFlavor::MultiThread,
            "the conformance kit needs threads: use #[tokio::test(flavor = \"multi_thread\")]"
        );
        let bench = Bench::new(harness);
        let verdict = match tokio::spawn((self.run)(bench.clone())).await {
            Ok(verdict) => verdict,
            Err(error) => Err(Stop::Broken(self.panicked(error))),
        };
        let mut skipped = bench.skipped();
        let failure = match verdict {
            Ok(()) => None,
            Err(Stop::Skipped(skip)) => {
                skipped.push(skip);
                None
            }
            Err(Stop::Broken(failure)) => Some(failure),
        };
        let check = self.name;
        skipped.iter_mut().for_each(|skip| skip.check = check);
        let mut failure = failure.map(|failure| super::Failure { check, ..failure });
        if let Some(failure) = &mut failure
            && check != CLOCK
            && other_clock(bench).await
        {
            failure.what.push_str(OTHER_CLOCK);
        }
        if let Some(failure) = &failure {
            let known = self.sentences.contains(&failure.sentence);
            debug_assert!(known, "{check} does not say that it checks {}", failure.sentence);
        }
        Outcome { check, skipped, failure }
    }

    pub(super) fn not_run(&self, why: &str) -> Outcome {
        let sentence = self.sentences.first().copied().unwrap_or_default();
        let skip = Skip { check: self.name, sentence, why: format!("not run, because {why}") };
        Outcome { check: self.name, skipped: vec![skip], failure: None }
    }

    /// Reports a store that panics like one that answers wrongly, so that the other checks still run.
    fn panicked(&self, error: tokio::task::JoinError) -> super::Failure {
        let text = match error.try_into_panic() {
            Ok(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
                (Some(text), _) => text.clone(),
                (None, Some(text)) => (*text).to_owned(),
                (None, None) => "with a payload that is not a string".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let sentence = self.sentences.first().copied().unwrap_or_default();
        super::Failure { check: self.name, sentence, what: format!("the store panicked: {text}") }
    }
}
