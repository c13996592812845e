//! Writes snapshots.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    atomic_file::{self, Replaced},
    journal::Journal,
    snapshot::{Saved, SnapshotWriter},
    sync::Ordering,
    table::Table,
    walk::Place,
};
use crate::record::RecordKind;

/// Keeps a table's snapshot up to date. Holds the lock on the snapshot's path until it is released.
#[derive(Debug)]
pub(super) struct Snapshotter {
    path: PathBuf,
    pub(super) journal: Arc<Journal>,
    /// Locked while a snapshot is written, so that they are written one at a time.
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    _lock: File,
    journal: JoinHandle<()>,
}

/// Statistics of a written snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

/// A snapshot could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing the snapshot {} failed; the last good one stays", path.display())]
pub(super) struct SnapshotError {
    path: PathBuf,
    source: io::Error,
}

impl Snapshotter {
    pub(super) fn new(path: PathBuf, lock: File, journal: Arc<Journal>, thread: JoinHandle<()>) -> Self {
        Self { path, journal, held: Mutex::new(Some(Held { _lock: lock, journal: thread })) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn failed(&self, source: io::Error) -> SnapshotError {
        SnapshotError { path: self.path.clone(), source }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a snapshot, and blocks until it is in place. Requests continue meanwhile: each shard is locked for short
    /// steps only. The snapshot contains every session that lives throughout; the journal has the removals that it
    /// missed.
    pub(super) fn snapshot(&self, table: &Table, now: u64) -> Result<Written, SnapshotError> {
        let held = self.held();
        if held.is_none() {
            return Err(self.failed(io::Error::other("the store is closed")));
        }
        let began = std::time::Instant::now();
        self.journal.snapshot_begins();
        let mut entries = 0;
        let written = atomic_file::replace(&self.path, |file| {
            entries = write(BufWriter::new(file), table, now)?;
            Ok(())
        });
        // If a crash could leave the old snapshot in place, the journal must continue as it is.
        match written.and_then(|Replaced { file, lasts }| lasts.and_then(|()| file.metadata())) {
            Ok(metadata) => {
                self.journal.snapshot_succeeded(version(table));
                let written = Written { entries, bytes: metadata.len(), took: began.elapsed() };
                tracing::debug!(
                    target: super::events::TARGET, path = %self.path.display(), entries = written.entries,
                    bytes = written.bytes, took_ms = written.took.as_millis(), "snapshot written"
                );
                Ok(written)
            }
            Err(error) => {
                self.journal.snapshot_failed();
                let error = self.failed(error);
                tracing::error!(
                    target: super::events::TARGET, path = %self.path.display(),
                    error = &error.source as &dyn std::error::Error,
                    "the snapshot could not be written: the last good one stays; will try again at the next interval"
                );
                Err(error)
            }
        }
    }

    /// Ends the journal's thread once everything is written, and releases the path.
    pub(super) fn release(&self) {
        if let Some(held) = self.held().take() {
            self.journal.stop();
            // The thread panics only where this code would.
            let _ = held.journal.join();
        }
    }
}

fn version(table: &Table) -> u64 {
    table.shared.version.load(Ordering::Acquire)
}

fn write(to: impl io::Write, table: &Table, now: u64) -> io::Result<u64> {
    let mut writer = SnapshotWriter::begin(to, version(table), now)?;
    // Epochs come last, so every session in the snapshot finds the epoch that it was created with, or a later one that
    // revokes it.
    for epochs in [false, true] {
        let mut place = Some(Place::default());
        while let Some(from) = place {
            // On a busy machine this thread is preempted now and then. Better here than under the shard's lock, where
            // requests would wait for it.
            std::thread::yield_now();
            // The records are encoded and written after the shard's lock is released.
            let mut step = Vec::new();
            place = table.walk_even_closed(from, |held| {
                if !held.is_expired(now) && (held.record.kind() == RecordKind::Epoch) == epochs {
                    step.push(Saved::of(held));
                }
            });
            for saved in step {
                writer.add(&saved)?;
            }
        }
    }
    let entries = writer.entries;
    writer.end()?.flush()?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::super::atomic_file::fault;
    use crate::{Clock, Lifetime, MemoryStore, SessionId, SessionStore, id::TokenCheck, record::Record, store::Usage};

    /// A crash could leave the previous snapshot in place, so removals since then must stay in the journal.
    #[tokio::test]
    async fn a_snapshot_that_may_not_last_shortens_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = (folder.path().join("sessions"), folder.path().join("sessions.journal"));
        let store = MemoryStore::builder().snapshot_path(&path).open().unwrap();
        let (id, now) = (SessionId::for_epoch("a"), Clock::system().now());
        let record = std::sync::Arc::new(Record::session(TokenCheck::from_bytes([1; 16]), now, Lifetime::default()));
        store.create(&id, &record, Usage::at(&record, now)).await.unwrap();
        store.flush().await.unwrap();
        let before = std::fs::read(&path).unwrap();
        store.remove(&id).await.unwrap();
        fault::inject(&path, fault::Step::Sync);
        store.flush().await.unwrap_err();
        // The journal's thread has handled everything before this line.
        store.remove(&SessionId::for_epoch("marker")).await.unwrap();

        let crashed = tempfile::tempdir().unwrap();
        let copy = crashed.path().join("sessions");
        std::fs::write(&copy, before).unwrap();
        std::fs::copy(&journal, crashed.path().join("sessions.journal")).unwrap();
        let restarted = MemoryStore::builder().snapshot_path(&copy).open().unwrap();
        assert!(restarted.load(&id).await.unwrap().is_none());
        fault::heal(&path);
        store.close().await.unwrap();
    }
}
