//! The results of the checks.

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
    /// What was done, and the store's answer.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, sentence, what } = self;
        write!(f, "{sentence}: {}\n    broken: {what}\n    found by the check {check}", sentence::text_of(sentence))
    }
}

impl Error for Failure {}

/// Something that could not be checked, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skip {
    /// The check that skipped it.
    pub check: &'static str,
    /// The number of the sentence.
    pub sentence: &'static str,
    /// The reason: the store lacks the operation, or the harness lacks a way to do it.
    pub why: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.sentence, self.check, self.why)
    }
}

/// The result of one check.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The check.
    pub check: &'static str,
    /// What it skipped. Even if this isn't empty, the check may have checked the rest.
    pub skipped: Vec<Skip>,
    /// The first sentence that it found to be broken.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Asserts that no sentence was found to be broken. Prints what was skipped to the standard error, even in a
    /// passing test.
    ///
    /// # Panics
    ///
    /// If a sentence was found to be broken.
    #[track_caller]
    pub fn assert_passed(&self) {
        tell(self.skipped.iter());
        if let Some(failure) = &self.failure {
            panic!("{failure}");
        }
    }
}

/// Prints what was skipped. `eprintln!` won't do: the test harness captures its output if the test passes.
fn tell<'a>(skipped: impl Iterator<Item = &'a Skip>) {
    let lines: String = skipped.map(|skip| format!("skipped: {skip}\n")).collect();
    // If it can't be printed, nothing depends on it.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// The results of all checks. `Display` lists every broken sentence and everything that was skipped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The store's name.
    pub store: String,
    /// The result of each check, in order.
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

    /// Whether no sentence was found to be broken.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Asserts that no sentence was found to be broken. Prints what was skipped to the standard error, even in a
    /// passing test.
    ///
    /// # Panics
    ///
    /// With the report, if a sentence was found to be broken.
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
