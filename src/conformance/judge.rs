//! Judges answers and words the failures.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    Failure, Skip,
    probe::Probe,
    verdict::{Stop, Verdict},
};
use crate::{
    clock,
    id::SessionId,
    record::Record,
    store::{Stored, Version},
};

/// The least distance between two expiries that a check tells apart.
pub(super) const APART: Duration = Duration::from_secs(600);

/// An expiry further away than this isn't a matter of being late.
const NEAR: Duration = Duration::from_secs(10);

impl Probe {
    /// Returns the stored record, which must exist.
    pub(super) async fn present(&self, id: &SessionId, when: &str) -> Verdict<Stored> {
        match self.load(id).await? {
            Some(stored) => Ok(stored),
            None => self.broken(format!("{when}: expected a record, `load` answered None")),
        }
    }

    /// Fails if a record is stored under the id.
    pub(super) async fn absent(&self, id: &SessionId, when: &str) -> Verdict {
        match self.load(id).await? {
            None => Ok(()),
            Some(stored) => {
                let (kind, late) = (stored.record.kind(), self.harness().late);
                let why = match stored.expires_at.duration_since(self.now()) {
                    Ok(left) if left.is_zero() || left > NEAR => String::new(),
                    Ok(left) => format!(
                        ", which says that it expires {left:?} from now. If the store is late because it counts whole \
                         seconds, say how late by `Harness::late_by`, which is {late:?} now"
                    ),
                    Err(error) => format!(
                        ", although it says that it expired {:?} ago. Compare the expiry with the clock in each call",
                        error.duration()
                    ),
                };
                self.broken(format!("{when}: expected None, `load` answered a record of kind {kind:?}{why}"))
            }
        }
    }

    /// Fails unless this record is stored, in this version.
    pub(super) async fn unchanged(&self, id: &SessionId, record: &Record, version: &Version, when: &str) -> Verdict {
        let stored = self.present(id, when).await?;
        self.same_record(record, &stored.record, when)?;
        self.equal(*version, stored.version, format_args!("{when}: the loaded version"))
    }

    /// Fails unless the two are equal.
    pub(super) fn equal<T: PartialEq + fmt::Debug>(
        &self,
        expected: T,
        answered: T,
        what: impl fmt::Display,
    ) -> Verdict {
        if expected == answered {
            return Ok(());
        }
        self.broken(format!("{what}: expected {expected:?}, the store answered {answered:?}"))
    }

    /// Fails unless the two records are equal, byte for byte.
    pub(super) fn same_record(&self, expected: &Record, answered: &Record, when: &str) -> Verdict {
        if expected == answered {
            return Ok(());
        }
        let difference = if expected.kind() != answered.kind() {
            format!("the kind is {:?} and not {:?}", answered.kind(), expected.kind())
        } else if expected.entries() != answered.entries() {
            let (now, before) = (answered.entries(), expected.entries());
            format!(
                "the entries differ: {} with {} bytes and not {} with {} bytes",
                now.len(),
                now.as_bytes().len(),
                before.len(),
                before.as_bytes().len()
            )
        } else if expected.owner() != answered.owner() {
            "the owner differs".to_owned()
        } else if expected.check() != answered.check() {
            "the check differs".to_owned()
        } else {
            format!("{answered:?} and not {expected:?}")
        };
        self.broken(format!("{when}: the store answered another record: {difference}"))
    }

    /// Fails unless the expiry is the expected one. A store that counts whole seconds may be late.
    pub(super) fn expires(&self, expected: SystemTime, answered: SystemTime, when: &str) -> Verdict {
        let latest = clock::later(expected, self.harness().late);
        if (expected..=latest).contains(&answered) {
            return Ok(());
        }
        let late = self.harness().late;
        self.broken(match answered.duration_since(expected) {
            Ok(by) if by > NEAR => format!("{when}: the answered `expires_at` is {by:?} later than it must be"),
            Ok(by) => format!(
                "{when}: the answered `expires_at` is {by:?} later than it must be, and the harness allows `late_by` \
                 {late:?}. Store it to the millisecond; if the backend counts whole seconds, round up and say so by \
                 `Harness::late_by`"
            ),
            Err(error) => {
                let by = error.duration();
                let why = if by > NEAR {
                    ""
                } else {
                    ". Store it to the millisecond, or round up: `late_by` allows to be late only"
                };
                format!("{when}: the answered `expires_at` is {by:?} earlier than it must be{why}")
            }
        })
    }

    /// Whether the answered expiry is the expected one, and not another that lies minutes apart. How late it may be is
    /// checked for L4: on a busy machine, a store that counts seconds is later than on an idle one.
    pub(super) fn is_expiry(&self, expected: SystemTime, answered: SystemTime) -> bool {
        let by = answered.duration_since(expected).unwrap_or_else(|error| error.duration());
        by <= if self.harness().late.is_zero() { Duration::ZERO } else { self.harness().late.max(APART / 4) }
    }

    /// Fails if the expiry has moved. A store that counts whole seconds may compute it from the remaining seconds.
    pub(super) fn same_expiry(&self, before: &Stored, after: &Stored, when: &str) -> Verdict {
        let (before, after) = (before.expires_at, after.expires_at);
        let by = after.duration_since(before).unwrap_or_else(|error| error.duration());
        self.holds(
            by <= self.harness().late,
            format_args!(
                "{when}: `expires_at` has moved by {by:?}, although no call moved it (the harness allows `late_by` {:?})",
                self.harness().late
            ),
        )
    }

    /// Fails unless the condition holds.
    pub(super) fn holds(&self, holds: bool, what: impl fmt::Display) -> Verdict {
        if holds { Ok(()) } else { self.broken(what.to_string()) }
    }

    /// Fails the check: the store breaks the sentence.
    pub(super) fn broken<T>(&self, what: impl Into<String>) -> Verdict<T> {
        Err(Stop::Broken(Failure { check: "", sentence: self.sentence, what: what.into() }))
    }

    /// Skips the rest of the check.
    pub(super) fn skip<T>(&self, why: impl Into<String>) -> Verdict<T> {
        Err(Stop::Skipped(Skip { check: "", sentence: self.sentence, why: why.into() }))
    }

    /// Runs a part that the store or the harness may not support. If so, notes that, and the check goes on.
    pub(super) fn optional<T>(&self, part: Verdict<T>) -> Verdict<Option<T>> {
        match part {
            Ok(done) => Ok(Some(done)),
            Err(Stop::Broken(failure)) => Err(Stop::Broken(failure)),
            Err(Stop::Skipped(skip)) => {
                self.bench.note(skip);
                Ok(None)
            }
        }
    }
}
