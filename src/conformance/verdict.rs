//! The result of a check.

use super::{Failure, Skip};

/// The result of a check or of a part of it.
pub(super) type Verdict<T = ()> = Result<T, Stop>;

/// Why a check stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Broken(Failure),
    Skipped(Skip),
}
