//! What came of the checks.

use std::{error::Error, fmt, io::Write};

use super::sentence;

/// A sentence of the contract that a store has broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The check that found it.
    pub check: &'static str,
    /// The number of the sentence.
    pub sentence: &'static str,
    /// What was done and what the store answered.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, sentence, what } = self;
        write!(f, "{sentence}: {}\n    broken: {what}\n    found by the check {check}", sentence::text_of(sentence))
    }
}

impl Error for Failure {}

/// Something that could not be checked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skip {
    /// The check that left it out.
    pub check: &'static str,
    /// The number of the sentence.
    pub sentence: &'static str,
    /// Why: the store has no such operation, or the harness no way to do it.
    pub why: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.sentence, self.check, self.why)
    }
}

/// What came of one check.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The check.
    pub check: &'static str,
    /// What it left out. Not empty does not mean that nothing was checked.
    pub skipped: Vec<Skip>,
    /// The first sentence that it found broken.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Panics if a sentence was found broken. Prints what was skipped to the standard error, also in a test that passes.
    ///
    /// # Panics
    ///
    /// See above.
    #[track_caller]
    pub fn assert_passed(&self) {
        tell(self.skipped.iter());
        if let Some(failure) = &self.failure {
            panic!("{failure}");
        }
    }
}

/// Prints what was skipped. Not by `eprintln!`: the test harness keeps that to itself if the test passes.
fn tell<'a>(skipped: impl Iterator<Item = &'a Skip>) {
    let lines: String = skipped.map(|skip| format!("skipped: {skip}\n")).collect();
    // Nothing depends on it.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// What came of all checks. `Display` lists every broken sentence and everything that was skipped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The store's name.
    pub store: String,
    /// Each check, in order.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// The broken sentences.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref())
    }

    /// What could not be checked.
    pub fn skipped(&self) -> impl Iterator<Item = &Skip> {
        self.outcomes.iter().flat_map(|outcome| &outcome.skipped)
    }

    /// Whether no sentence was found broken.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Panics with the report if a sentence was found broken. Prints what was skipped to the standard error, also in a
    /// test that passes.
    ///
    /// # Panics
    ///
    /// See above.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.passed(), "{self}");
        tell(self.skipped());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failures().count(), self.skipped().count());
        let checks = self.outcomes.len();
        write!(
            f,
            "the store `{}` against the contract: {checks} checks, {failed} failed, {skipped} parts skipped",
            self.store
        )?;
        for failure in self.failures() {
            write!(f, "\n\n{failure}")?;
        }
        if skipped > 0 {
            f.write_str("\n")?;
        }
        for skip in self.skipped() {
            write!(f, "\nskipped: {skip}")?;
        }
        Ok(())
    }
}
