//! The lines of one process.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::{MemoryStore, store::DynStore};

/// Pairs join a line together and leave it at the same moment, as near as two threads come.
#[test]
fn a_line_that_all_have_left_is_gone() {
    const LINES: u64 = 60_000;
    let settings = Arc::new(Settings {
        exclusive: Some(Exclusive::new(Duration::ZERO, Duration::from_secs(1))),
        ..Settings::new(DynStore::new(MemoryStore::new()))
    });
    let exclusive = settings.exclusive.as_ref().unwrap();
    let arrived = AtomicU64::new(0);
    let visit = || {
        for line in 0..LINES {
            let id = SessionId::from_uuid(uuid::Uuid::from_u128(u128::from(line)));
            let place = Place { settings: Arc::clone(&settings), id, line: Some(exclusive.lines.line(id)) };
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut tries = 0;
            while arrived.load(Ordering::SeqCst) < 2 * (line + 1) {
                // On one processor the other one can't come otherwise.
                if tries > 1_000 {
                    std::thread::yield_now()
                } else {
                    std::hint::spin_loop()
                }
                tries += 1;
            }
            drop(place);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(visit);
        visit();
    });
    assert_eq!(exclusive.lines.all().len(), 0);
}
