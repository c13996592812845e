//! The conformance kit over the memory store, alone and with snapshots.

use session_layer::{
    MemoryStore,
    conformance::{self, Harness},
};

async fn memory() -> Harness {
    let clock = conformance::manual_clock();
    // The share kept free for ownerless sessions limits the size of one of them: 8 MiB of 256 MiB.
    let store = MemoryStore::with_clock(clock.clone());
    Harness::new(store.clone(), clock).expects_all().twin(store).refuses(9 << 20)
}

mod memory {
    session_layer::conformance::tests!(super::memory);
}

mod memory_with_snapshots {
    use super::*;

    async fn open() -> Harness {
        let clock = conformance::manual_clock();
        let folder = tempfile::tempdir().unwrap();
        let builder = MemoryStore::builder().snapshot_path(folder.path().join("sessions"));
        let store = builder.sync_removals(false).clock(clock.clone()).open().unwrap();
        Harness::new(store.clone(), clock).expects_all().twin(store).refuses(9 << 20).keep(folder)
    }

    session_layer::conformance::tests!(open);
}
