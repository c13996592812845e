//! The removal journal: the states that must not be restored from the last snapshot.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::{Notify, watch};

use super::{
    journal_line::JournalLine,
    journal_writer::{JournalWriter, Renewal},
};

/// The removals since the last snapshot, written by a separate thread.
///
/// A line is queued under the shard's lock, in one step with the removal, and is written even if the caller is dropped
/// meanwhile. The caller waits until its line is on the disk before it returns. Lines that arrive during a write go
/// together into the next one.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    queue: Mutex<Queue>,
    work: Condvar,
    progress: watch::Sender<Progress>,
    /// Notified when the journal is long.
    pub(super) long: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<JournalLine>,
    /// The number of lines that were ever queued.
    pushed: u64,
    /// While a snapshot is written: the lines that it may miss, with which the next journal begins.
    missed: Option<Vec<JournalLine>>,
    /// If set, the thread begins a new journal.
    renewal: Option<Renewal>,
    stop: bool,
}

/// The work that the thread takes out of the queue at once.
struct Batch {
    lines: Vec<JournalLine>,
    /// The number of lines that were ever queued, including these.
    pushed: u64,
    renewal: Option<Renewal>,
    stop: bool,
}

/// The number of a line. The line is written when this number of lines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug, Clone, Default)]
struct Progress {
    written: u64,
    failed: u64,
    error: Option<Arc<io::Error>>,
}

/// A removal took effect, but could not be written to the journal: a crash might undo it.
#[derive(Debug, thiserror::Error)]
#[error("writing the removal journal {} failed, so a crash before the next snapshot would undo this", path.display())]
pub(super) struct JournalError {
    path: PathBuf,
    source: Arc<io::Error>,
}

impl Journal {
    /// Begins a journal with these lines, and starts its thread.
    pub(super) fn start(
        path: PathBuf,
        sync: bool,
        version: u64,
        lines: &[JournalLine],
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let writer = JournalWriter::begin(path.clone(), sync, version, lines)?;
        Self::with_writer(path, writer)
    }

    fn with_writer(path: PathBuf, writer: JournalWriter) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let journal = Arc::new(Self {
            path,
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
            long: Notify::new(),
        });
        let runner = Arc::clone(&journal);
        let thread = std::thread::Builder::new().name("session-journal".into()).spawn(move || runner.run(writer))?;
        Ok((journal, thread))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line. The caller holds the shard's lock.
    pub(super) fn push(&self, line: JournalLine) -> Ticket {
        let mut queue = self.queue();
        queue.lines.push(line);
        queue.pushed += 1;
        let ticket = Ticket(queue.pushed);
        if let Some(missed) = &mut queue.missed {
            missed.push(line);
        }
        drop(queue);
        self.work.notify_one();
        ticket
    }

    /// Waits until the line is on the disk.
    pub(super) async fn written(&self, Ticket(line): Ticket) -> Result<(), JournalError> {
        let mut progress = self.progress.subscribe();
        // `self` is the sender, so it still exists.
        let Ok(now) = progress.wait_for(|now| now.written >= line || now.failed >= line).await else { return Ok(()) };
        match &now.error {
            Some(source) if now.written < line => {
                Err(JournalError { path: self.path.clone(), source: Arc::clone(source) })
            }
            _ => Ok(()),
        }
    }

    /// Called when a snapshot begins. Lines from now on may concern records that it has already collected.
    pub(super) fn snapshot_begins(&self) {
        self.queue().missed = Some(Vec::new());
    }

    /// Called when the snapshot is in place: only lines that it may have missed must be kept. If the new journal can't
    /// be written, the old one stays in use.
    pub(super) fn snapshot_succeeded(&self, version: u64) {
        let mut queue = self.queue();
        if let Some(lines) = queue.missed.take() {
            queue.renewal = Some(Renewal { version, lines, pushed: queue.pushed });
        }
        drop(queue);
        self.work.notify_one();
    }

    pub(super) fn snapshot_failed(&self) {
        self.queue().missed = None;
    }

    /// Lets the thread end once everything is written.
    pub(super) fn stop(&self) {
        self.queue().stop = true;
        self.work.notify_one();
    }

    fn run(&self, mut writer: JournalWriter) {
        loop {
            let Batch { lines, pushed, renewal, stop } = self.next();
            let is_idle = lines.is_empty() && renewal.is_none();
            match writer.write(lines, pushed, renewal) {
                Ok(()) => {
                    self.progress.send_modify(|progress| progress.written = pushed);
                    if writer.is_long() {
                        self.long.notify_one();
                    }
                }
                Err(error) => {
                    self.progress.send_modify(|progress| (progress.failed, progress.error) = (pushed, Some(error)));
                }
            }
            if stop && is_idle {
                return;
            }
        }
    }

    /// Waits until there is something to do.
    fn next(&self) -> Batch {
        let mut queue = self.queue();
        while queue.lines.is_empty() && queue.renewal.is_none() && !queue.stop {
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Batch {
            lines: std::mem::take(&mut queue.lines),
            pushed: queue.pushed,
            renewal: queue.renewal.take(),
            stop: queue.stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        SessionId,
        store::memory::{atomic_file::fault, journal_line::Removals},
    };

    fn line(number: u64) -> JournalLine {
        JournalLine::one(&SessionId::for_epoch(&number.to_string()), number, 0)
    }

    fn written(path: &Path) -> Vec<JournalLine> {
        Removals::read(&std::fs::read(path).unwrap()).unwrap().lines
    }

    #[tokio::test]
    async fn lines_are_on_the_disk_when_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, thread) = Journal::start(path.clone(), true, 1, &[line(1)]).unwrap();
        for number in 2..20 {
            journal.written(journal.push(line(number))).await.unwrap();
            assert_eq!(written(&path).len() as u64, number);
        }
        journal.stop();
        thread.join().unwrap();
    }

    /// A snapshot makes the lines before it superfluous, but none that it may have missed.
    #[tokio::test]
    async fn a_snapshot_shortens_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, thread) = Journal::start(path.clone(), true, 1, &[]).unwrap();
        journal.written(journal.push(line(1))).await.unwrap();
        journal.snapshot_begins();
        journal.written(journal.push(line(2))).await.unwrap();
        journal.snapshot_failed();
        journal.snapshot_begins();
        journal.written(journal.push(line(3))).await.unwrap();
        assert_eq!(written(&path), [line(1), line(2), line(3)]);
        journal.snapshot_succeeded(9);
        journal.written(journal.push(line(4))).await.unwrap();
        assert_eq!(written(&path), [line(3), line(4)]);
        journal.stop();
        thread.join().unwrap();
    }

    /// If the disk refuses writes, the call returns an error, and the line is written with the next lines that can be.
    #[tokio::test]
    async fn a_line_that_could_not_be_written_is_an_error_and_is_retried() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut writer = JournalWriter::begin(path.clone(), true, 1, &[]).unwrap();
        writer.refuse_writes();
        let (journal, thread) = Journal::with_writer(path.clone(), writer).unwrap();
        for number in 1..3 {
            let error = journal.written(journal.push(line(number))).await.unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        assert_eq!(written(&path), []);
        journal.snapshot_begins();
        journal.snapshot_succeeded(9);
        journal.written(journal.push(line(3))).await.unwrap();
        // The snapshot contains earlier removals; later ones are in the journal, once.
        assert_eq!(written(&path), [line(3)]);
        journal.stop();
        thread.join().unwrap();
    }

    /// A new journal is begun, but its name may not be durable. A line that was reported as written must be in the file
    /// at its path, now and after a crash.
    #[tokio::test]
    async fn a_journal_whose_folder_fails_is_not_lost() {
        for step in [fault::Step::Open, fault::Step::Sync] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let (journal, thread) = Journal::start(path.clone(), true, 1, &[]).unwrap();
            journal.written(journal.push(line(1))).await.unwrap();
            fault::inject(&path, step);
            journal.snapshot_begins();
            journal.written(journal.push(line(2))).await.unwrap();
            journal.snapshot_succeeded(9);
            // With the old journal in place, all is well. With the new one, it is unknown which of the two a crash
            // would leave.
            let certain = step == fault::Step::Open;
            for number in 3..6 {
                assert_eq!(journal.written(journal.push(line(number))).await.is_ok(), certain, "{step:?}");
                assert!(written(&path).contains(&line(number)), "{step:?}: {number} is in another file");
            }
            fault::heal(&path);
            journal.written(journal.push(line(6))).await.unwrap();
            let lines = written(&path);
            assert!((2..7).all(|number| lines.contains(&line(number))), "{step:?}: {lines:?}");
            assert!(lines.len() <= 6, "{step:?}: no line more than needed: {lines:?}");
            journal.stop();
            thread.join().unwrap();
        }
    }

    /// Without `sync`, the store promises only that the operating system has the line.
    #[tokio::test]
    async fn without_sync_a_folder_that_fails_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, thread) = Journal::start(path.clone(), false, 1, &[]).unwrap();
        fault::inject(&path, fault::Step::Sync);
        journal.snapshot_begins();
        journal.snapshot_succeeded(9);
        journal.written(journal.push(line(1))).await.unwrap();
        assert_eq!(written(&path), [line(1)]);
        journal.stop();
        thread.join().unwrap();
    }
}
