//! The conformance kit: the store alone, two over one directory, and with the provided implementations instead of its
//! own.

use std::fs;

use session_layer::{
    Durability, FileStore,
    conformance::{self, Harness, fault::Bare},
};

use crate::support::path_in;

async fn harness(durability: Durability, twin: bool) -> Harness {
    let dir = tempfile::tempdir().unwrap();
    let clock = conformance::manual_clock();
    let open =
        || FileStore::builder(dir.path()).clock(clock.clone()).durability(durability).sweep_interval(None).open();
    let root = dir.path().to_owned();
    let away = root.with_extension("away");
    let damaged = root.clone();
    let mut harness = Harness::new(open().await.unwrap(), clock.clone())
        .expects_all()
        .holds(100_000)
        .refuses(64 * 1024 * 1024)
        .damage(move |id| {
            let path = path_in(&damaged, &id);
            async move {
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                let times = fs::metadata(&path).unwrap();
                fs::write(&path, bytes).unwrap();
                let times = fs::FileTimes::new()
                    .set_accessed(times.accessed().unwrap())
                    .set_modified(times.modified().unwrap());
                fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
            }
        })
        .outage(move |down| {
            let (root, away) = (root.clone(), away.clone());
            async move {
                let (from, to) = if down { (root, away) } else { (away, root) };
                fs::rename(from, to).unwrap();
            }
        });
    if twin {
        harness = harness.twin(open().await.unwrap());
    }
    harness.keep(dir)
}

mod alone {
    use session_layer::{Durability, conformance::Harness};

    async fn open() -> Harness {
        super::harness(Durability::None, false).await
    }

    session_layer::conformance::tests!(open);
}

mod two_over_one_directory {
    use session_layer::{Durability, conformance::Harness};

    async fn open() -> Harness {
        super::harness(Durability::None, true).await
    }

    session_layer::conformance::tests!(open);
}

/// Only the five required methods, with the provided ones on top of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_required_methods_alone_pass_the_kit() {
    let open = || async {
        let dir = tempfile::tempdir().unwrap();
        let clock = conformance::manual_clock();
        let open = || {
            let builder = FileStore::builder(dir.path()).clock(clock.clone()).sweep_interval(None);
            builder.durability(Durability::None).open()
        };
        let (store, twin) = (open().await.unwrap(), open().await.unwrap());
        Harness::new(Bare(store), clock.clone()).twin(Bare(twin)).rounds(20).keep(dir)
    };
    conformance::run(open).await.assert_passed();
}
