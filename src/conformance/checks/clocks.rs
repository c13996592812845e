//! G4: whether the store reads the harness's clock.

use super::super::{bench::Bench, clock::mismatch, verdict::Verdict};

pub(in super::super) async fn g4_the_store_reads_the_harness_clock(bench: Bench) -> Verdict {
    let g4 = bench.about("G4");
    match mismatch(&g4).await? {
        Some(what) => g4.broken(what),
        None => Ok(()),
    }
}
