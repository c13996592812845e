//! The kit over `MemoryStore`, alone and under the kit's own wrappers.

use session_layer::{
    DynStore, MemoryStore,
    conformance::{
        self, Harness, Operation,
        fault::{Bare, FaultStore},
    },
};

/// What `MemoryStore` has beyond the required methods.
const MEMORY: &[Operation] = &[];

async fn memory() -> Harness {
    let clock = conformance::manual_clock();
    Harness::new(MemoryStore::with_clock(clock.clone()), clock).expects(MEMORY.iter().copied())
}

mod memory {
    session_layer::conformance::tests!(super::memory);
}

mod memory_boxed_twice {
    use super::*;

    async fn open() -> Harness {
        super::memory().await.wrap(|store| DynStore::new(Bare(store)))
    }

    session_layer::conformance::tests!(open);
}

mod memory_under_a_fault_store {
    use super::*;

    async fn open() -> Harness {
        super::memory().await.wrap(FaultStore::new)
    }

    session_layer::conformance::tests!(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_report_names_what_was_skipped() {
    let report = conformance::run(memory).await;
    report.assert_passed();
    println!("{report}");
}
