//! The kit over `MemoryStore`, alone and under the kit's own wrappers.

use session_layer::{
    Clock, DynStore, MemoryStore,
    conformance::{
        self, Harness, Operation,
        fault::{Bare, FaultStore},
    },
};

use crate::reference::Reference;

/// What `MemoryStore` has beyond the required methods.
const MEMORY: &[Operation] = &[];

async fn memory() -> Harness {
    let clock = conformance::manual_clock();
    Harness::new(MemoryStore::with_clock(clock.clone()), clock).expects(MEMORY.iter().copied())
}

mod memory {
    session_layer::conformance::tests!(super::memory);
}

mod memory_boxed {
    use super::*;

    async fn open() -> Harness {
        memory().await.wrap(DynStore::new)
    }

    session_layer::conformance::tests!(open);
}

/// The contract's provided forms, over a store that may override them.
mod memory_with_the_required_methods_only {
    use super::*;

    async fn open() -> Harness {
        let clock = conformance::manual_clock();
        Harness::new(Bare(MemoryStore::with_clock(clock.clone())), clock)
    }

    session_layer::conformance::tests!(open);
}

mod memory_under_a_fault_store {
    use super::*;

    async fn open() -> Harness {
        memory().await.wrap(FaultStore::new)
    }

    session_layer::conformance::tests!(open);
}

/// By a clock that nobody moves: the kit waits, as it does for a backend with a clock of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_reference_passes_on_the_systems_clock() {
    let report = conformance::run(|| async {
        let clock = Clock::system();
        Reference::harness(&clock, &Reference::new(clock.clone()), DynStore::new).rounds(20)
    })
    .await;
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// What the memory store leaves unchecked is what the harness can't do to it, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_is_skipped_for_known_reasons_only() {
    let report = conformance::run(memory).await;
    report.assert_passed();
    for skip in report.skipped() {
        let lacks = |operation: &Operation| skip.why == format!("the store has no `{operation}`");
        let known = skip.why.starts_with("the harness ")
            || Operation::OPTIONAL.iter().any(|operation| lacks(operation) && !MEMORY.contains(operation));
        assert!(known, "{skip}");
    }
}
