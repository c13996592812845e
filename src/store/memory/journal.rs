//! The removal journal: what must not come back from the last snapshot.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::{Notify, watch};

use super::{
    disk::{self, Replaced},
    line::{LINE_BYTES, Line, write_head},
};

/// From this size on a snapshot is asked for, which empties the journal.
const LONG: u64 = 64 << 20;

/// The removals since the last snapshot, written by a thread of their own.
///
/// A line is queued under the shard's lock, in one step with the removal, so a caller that is dropped meanwhile changes
/// nothing: the line is written all the same. The caller then waits until its line is on the disk before it answers.
/// Lines that come while others are written go together in the next write.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    sync: bool,
    queue: Mutex<Queue>,
    work: Condvar,
    progress: watch::Sender<Progress>,
    /// Told when the journal is long.
    pub(super) long: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<Line>,
    /// Lines that were ever queued.
    pushed: u64,
    /// While a snapshot is written: the lines that it may miss, which the next journal begins with.
    missed: Option<Vec<Line>>,
    /// Begin a new journal with these lines.
    renew: Option<(u64, Vec<Line>)>,
    stop: bool,
}

/// The number of a line: it is written when as many are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug, Clone, Default)]
struct Progress {
    written: u64,
    failed: u64,
    error: Option<Arc<io::Error>>,
}

/// A removal took effect, but could not be written down: after a crash it might be undone.
#[derive(Debug, thiserror::Error)]
#[error("writing the removal journal {} failed, so a crash before the next snapshot would undo this", path.display())]
pub(super) struct JournalError {
    path: PathBuf,
    source: Arc<io::Error>,
}

impl Journal {
    /// Begins a journal with these lines and starts its thread.
    pub(super) fn start(
        path: PathBuf,
        sync: bool,
        version: u64,
        lines: &[Line],
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (writer, lasts) = Writer::begin(&path, version, lines)?;
        lasts?;
        Self::with_writer(path, sync, writer)
    }

    fn with_writer(path: PathBuf, sync: bool, writer: Writer) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let journal = Arc::new(Self {
            path,
            sync,
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

    /// Queues a line. Called under a shard's lock.
    pub(super) fn push(&self, line: Line) -> Ticket {
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

    /// Ready when the line is on the disk.
    pub(super) async fn written(&self, Ticket(line): Ticket) -> Result<(), JournalError> {
        let mut progress = self.progress.subscribe();
        // The sender is `self`, so it is there.
        let Ok(now) = progress.wait_for(|now| now.written >= line || now.failed >= line).await else { return Ok(()) };
        match &now.error {
            Some(source) if now.written < line => {
                Err(JournalError { path: self.path.clone(), source: Arc::clone(source) })
            }
            _ => Ok(()),
        }
    }

    /// A snapshot begins: lines from now on may concern what it has collected already.
    pub(super) fn snapshot_begins(&self) {
        self.queue().missed = Some(Vec::new());
    }

    /// The snapshot is in its place: what it can't have missed need not be kept. If the new journal can't be written,
    /// the old one goes on.
    pub(super) fn snapshot_succeeded(&self, version: u64) {
        let mut queue = self.queue();
        if let Some(missed) = queue.missed.take() {
            queue.renew = Some((version, missed));
        }
        drop(queue);
        self.work.notify_one();
    }

    pub(super) fn snapshot_failed(&self) {
        self.queue().missed = None;
    }

    /// Lets the thread end when everything is written.
    pub(super) fn stop(&self) {
        self.queue().stop = true;
        self.work.notify_one();
    }

    fn run(&self, mut writer: Writer) {
        // Lines that could not be written yet: tried again with the next ones.
        let mut unwritten: Vec<Line> = Vec::new();
        // While the journal's name may not last: what it was begun with and what came since. It is begun again with the
        // next lines, since syncing the folder a second time can succeed without having tried.
        let mut unsure: Option<(u64, Vec<Line>)> = None;
        loop {
            let (lines, pushed, renew, stop) = {
                let mut queue = self.queue();
                while queue.lines.is_empty() && queue.renew.is_none() && !queue.stop {
                    queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                (std::mem::take(&mut queue.lines), queue.pushed, queue.renew.take(), queue.stop)
            };
            let idle = lines.is_empty() && renew.is_none();
            unwritten.extend(lines);
            let mut failed = None;
            if let Some((version, missed)) = renew.or_else(|| unsure.clone()) {
                // `missed` has every line that was pushed since the snapshot began and before `renew` was asked for.
                // What was pushed later is in `unwritten`; twice does no harm.
                let again: Vec<_> = missed.iter().chain(&unwritten).copied().collect();
                match Writer::begin(&self.path, version, &again) {
                    Ok((begun, lasts)) => {
                        writer = begun;
                        unwritten.clear();
                        failed = lasts.err();
                        unsure = (self.sync && failed.is_some()).then_some((version, again));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            failed.iter().for_each(|error| self.report(error));
            if !unwritten.is_empty() || !idle {
                let mut done = writer.append(&unwritten, self.sync).inspect_err(|error| self.report(error));
                if let (Ok(()), Some((_, lines)), Some(error)) = (&done, &mut unsure, failed) {
                    // In the file, but not for certain.
                    lines.append(&mut unwritten);
                    done = Err(error);
                }
                match done {
                    Ok(()) => {
                        unwritten.clear();
                        self.progress.send_modify(|progress| progress.written = pushed);
                        if writer.bytes > LONG {
                            self.long.notify_one();
                        }
                    }
                    Err(error) => {
                        let error = Some(Arc::new(error));
                        self.progress.send_modify(|progress| (progress.failed, progress.error) = (pushed, error));
                    }
                }
            }
            if stop && idle {
                return;
            }
        }
    }

    fn report(&self, error: &io::Error) {
        tracing::error!(
            target: super::TARGET, path = %self.path.display(), error = error as &dyn std::error::Error,
            "the removal journal could not be written: what is removed now could come back after a crash"
        );
    }
}

/// The open file.
#[derive(Debug)]
struct Writer {
    file: File,
    /// Its whole lines. What a failed write left behind them is overwritten.
    bytes: u64,
}

impl Writer {
    /// Begins a new journal in the place of the old one: whole or not at all. And whether it stays there if the machine
    /// crashes now.
    fn begin(path: &Path, version: u64, lines: &[Line]) -> io::Result<(Self, io::Result<()>)> {
        let mut bytes = Vec::with_capacity(lines.len() * LINE_BYTES + 32);
        write_head(version, &mut bytes);
        lines.iter().for_each(|line| line.write(&mut bytes));
        let Replaced { file, lasts } = disk::replace(path, |file| file.write_all(&bytes))?;
        Ok((Self { file, bytes: bytes.len() as u64 }, lasts))
    }

    fn append(&mut self, lines: &[Line], sync: bool) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(lines.len() * LINE_BYTES);
        lines.iter().for_each(|line| line.write(&mut bytes));
        self.file.seek(SeekFrom::Start(self.bytes))?;
        if let Err(error) = self.file.write_all(&bytes) {
            // Half a line in the middle would be damage.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        if sync {
            self.file.sync_data()?;
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SessionId,
        store::memory::{disk::fault, line::Removals},
    };

    fn line(number: u64) -> Line {
        Line::one(&SessionId::of_owner(&number.to_string()), number, 0)
    }

    fn written(path: &Path) -> Vec<Line> {
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

    /// A snapshot makes the lines before it superfluous, and none that it may have missed.
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

    /// A disk that takes nothing: the answer is an error, and the line is written with the next ones that can be.
    #[tokio::test]
    async fn what_could_not_be_written_is_an_error_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        drop(Writer::begin(&path, 1, &[]).unwrap());
        // Opened for reading: every write fails.
        let writer = Writer { file: File::open(&path).unwrap(), bytes: std::fs::metadata(&path).unwrap().len() };
        let (journal, thread) = Journal::with_writer(path.clone(), true, writer).unwrap();
        for number in 1..3 {
            let error = journal.written(journal.push(line(number))).await.unwrap_err();
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        assert_eq!(written(&path), []);
        journal.snapshot_begins();
        journal.snapshot_succeeded(9);
        journal.written(journal.push(line(3))).await.unwrap();
        let lines = written(&path);
        assert!((1..4).all(|number| lines.contains(&line(number))));
        journal.stop();
        thread.join().unwrap();
    }

    /// The journal is begun anew, but its name may not last: what is answered as written must be in the file that is at
    /// its place, now and after a crash.
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
            // With the old journal in its place all is well. With the new one, nobody knows which a crash would leave.
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

    /// Without `sync` nobody is promised more than that the operating system has it.
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
