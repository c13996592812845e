//! The store under test with its harness.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Harness, Skip};

/// A harness, shared by the tasks of one check.
#[derive(Clone)]
pub(super) struct Bench(Arc<Inner>);

struct Inner {
    harness: Harness,
    skipped: Mutex<Vec<Skip>>,
}

impl Bench {
    pub(super) fn new(harness: Harness) -> Self {
        Self(Arc::new(Inner { harness, skipped: Mutex::default() }))
    }

    pub(super) fn harness(&self) -> &Harness {
        &self.0.harness
    }

    pub(super) fn skipped(&self) -> Vec<Skip> {
        self.0.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what could not be checked, once.
    pub(super) fn note(&self, skip: Skip) {
        let mut skipped = self.0.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        if !skipped.contains(&skip) {
            skipped.push(skip);
        }
    }
}
