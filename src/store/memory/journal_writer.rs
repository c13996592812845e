//! Writes the journal: the lines in the file, and the backlog.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    atomic_file::{self, Replaced},
    journal_line::{JournalLine, LINE_BYTES, write_head},
};

/// The size in bytes from which a snapshot is requested, which empties the journal.
const LONG: u64 = 64 << 20;

/// How many lines are tried first while the disk refuses writes. They are smaller than a page.
const PROBE: usize = 64;

/// Writes the journal.
///
/// A refused write costs no more than a short piece of the backlog. While the disk refuses writes, each call tries one
/// short piece, and a longer one only after a shorter one was written. Otherwise, every removal on a full disk would
/// try to write all removals before it: 8,000 of them would cost four times as much as 4,000.
#[derive(Debug)]
pub(super) struct JournalWriter {
    path: PathBuf,
    sync: bool,
    open: OpenJournal,
    /// Lines that are not in the file yet, in order.
    backlog: VecDeque<JournalLine>,
    /// The last write failed.
    is_refused: bool,
    unsure: Option<Unsure>,
    /// The size in bytes from which a snapshot is requested. It doubles with each request, so that failing snapshots
    /// are not tried again at every removal.
    long: u64,
    /// How many lines were passed to the disk, whether it took them or not.
    #[cfg(test)]
    tried: usize,
}

/// A new journal, which begins with the lines that the snapshot may have missed.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) version: u64,
    pub(super) lines: Vec<JournalLine>,
    /// The number of lines that were queued by the time the snapshot was in place. The snapshot or `lines` contains
    /// them.
    pub(super) pushed: u64,
}

/// The journal was begun anew, but its directory could not be synced: after a crash its name may lead to the old
/// journal. No line is certain until the journal is begun once more and the directory is synced. Syncing the directory
/// again is not enough, since a second sync can succeed without having written anything.
#[derive(Debug)]
struct Unsure {
    version: u64,
    /// All lines in the file.
    lines: Vec<JournalLine>,
    error: Arc<io::Error>,
    /// The number of calls since it was begun.
    calls: usize,
}

impl Unsure {
    /// Whether to begin the file once more. The longer it is, the more calls must share the cost.
    fn is_due(&self) -> bool {
        self.calls.saturating_mul(PROBE) >= self.lines.len()
    }
}

impl JournalWriter {
    /// Begins a journal with these lines.
    pub(super) fn begin(path: PathBuf, sync: bool, version: u64, lines: &[JournalLine]) -> io::Result<Self> {
        let (open, lasts) = OpenJournal::begin(&path, version, lines)?;
        lasts?;
        Ok(Self {
            path,
            sync,
            open,
            backlog: VecDeque::new(),
            is_refused: false,
            unsure: None,
            long: LONG,
            #[cfg(test)]
            tried: 0,
        })
    }

    /// Writes the backlog and then these lines, the last of which has the number `pushed`.
    ///
    /// # Errors
    ///
    /// If a line is not certain to be on the disk. Such lines are tried again with the next ones.
    pub(super) fn write(
        &mut self,
        lines: Vec<JournalLine>,
        pushed: u64,
        renewal: Option<Renewal>,
    ) -> Result<(), Arc<io::Error>> {
        self.backlog.extend(lines);
        if let Some(unsure) = &mut self.unsure {
            unsure.calls += 1;
        }
        if let Some(Renewal { version, lines: mut all, pushed: up_to }) = renewal {
            let later = usize::try_from(pushed - up_to).map_or(self.backlog.len(), |n| n.min(self.backlog.len()));
            all.extend(self.backlog.range(self.backlog.len() - later..));
            self.begin_again(version, all);
        } else if let Some(unsure) = self.unsure.take_if(|unsure| unsure.is_due()) {
            let mut all = unsure.lines.clone();
            all.extend(&self.backlog);
            let version = unsure.version;
            self.unsure = Some(Unsure { calls: 0, ..unsure });
            self.begin_again(version, all);
        }
        let appended = self.append();
        self.is_refused = appended.is_err();
        if let Err(error) = appended {
            let error = Arc::new(error);
            self.report(&error);
            return Err(error);
        }
        self.unsure.as_ref().map_or(Ok(()), |unsure| Err(Arc::clone(&unsure.error)))
    }

    /// Replaces this journal by a new one with these lines. If that fails, this one stays in use.
    fn begin_again(&mut self, version: u64, lines: Vec<JournalLine>) {
        #[cfg(test)]
        (self.tried += lines.len());
        let lasts = match OpenJournal::begin(&self.path, version, &lines) {
            Ok((open, lasts)) => {
                (self.open, self.unsure, self.long) = (open, None, LONG);
                self.backlog.clear();
                lasts
            }
            Err(error) => return self.report(&error),
        };
        if let Err(error) = lasts {
            self.report(&error);
            self.unsure = self.sync.then(|| Unsure { version, lines, error: Arc::new(error), calls: 0 });
        }
    }

    /// Writes the backlog: at once if the last write succeeded, otherwise in pieces, each twice as long as the one
    /// before.
    fn append(&mut self) -> io::Result<()> {
        let mut most = if self.is_refused { PROBE } else { usize::MAX };
        while !self.backlog.is_empty() {
            let count = most.min(self.backlog.len());
            #[cfg(test)]
            (self.tried += count);
            self.open.append(self.backlog.range(..count), self.sync)?;
            let written = self.backlog.drain(..count);
            if let Some(unsure) = &mut self.unsure {
                unsure.lines.extend(written);
            }
            most = most.saturating_mul(2);
        }
        Ok(())
    }

    /// Whether to request a snapshot.
    pub(super) fn is_long(&mut self) -> bool {
        let is_long = self.open.bytes > self.long;
        if is_long {
            self.long = self.open.bytes.saturating_mul(2);
        }
        is_long
    }

    fn report(&self, error: &io::Error) {
        tracing::error!(
            target: super::events::TARGET, path = %self.path.display(), waiting = self.backlog.len(),
            error = error as &dyn std::error::Error,
            "the removal journal could not be written: what is removed now could come back after a crash"
        );
    }

    /// Makes every write fail, until a new journal is begun.
    #[cfg(test)]
    pub(super) fn refuse_writes(&mut self) {
        self.open.file = File::open(&self.path).expect("the journal is there");
    }
}

/// The open file.
#[derive(Debug)]
struct OpenJournal {
    file: File,
    /// The length of its whole lines. The rest of a failed write is overwritten.
    bytes: u64,
}

impl OpenJournal {
    /// Replaces the old journal by a new one, atomically. The inner result says whether it is still in place after a
    /// crash.
    fn begin(path: &Path, version: u64, lines: &[JournalLine]) -> io::Result<(Self, io::Result<()>)> {
        let mut bytes = Vec::with_capacity(lines.len() * LINE_BYTES + 32);
        write_head(version, &mut bytes);
        lines.iter().for_each(|line| line.write(&mut bytes));
        let Replaced { file, lasts } = atomic_file::replace(path, |file| file.write_all(&bytes))?;
        Ok((Self { file, bytes: bytes.len() as u64 }, lasts))
    }

    fn append<'a>(&mut self, lines: impl ExactSizeIterator<Item = &'a JournalLine>, sync: bool) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(lines.len() * LINE_BYTES);
        lines.for_each(|line| line.write(&mut bytes));
        self.file.seek(SeekFrom::Start(self.bytes))?;
        let written = self.file.write_all(&bytes).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Otherwise half a line, or a page that a failed sync has lost, would be damage in the middle of the file.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
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
        store::memory::{atomic_file::fault, journal_line::Removals},
    };

    fn line(number: u64) -> JournalLine {
        JournalLine::one(&SessionId::for_epoch(&number.to_string()), number, 0)
    }

    fn lines(numbers: std::ops::RangeInclusive<u64>) -> Vec<JournalLine> {
        numbers.map(line).collect()
    }

    fn written(path: &Path) -> Vec<JournalLine> {
        Removals::read(&std::fs::read(path).unwrap()).unwrap().lines
    }

    fn writer() -> (tempfile::TempDir, JournalWriter) {
        let folder = tempfile::tempdir().unwrap();
        let writer = JournalWriter::begin(folder.path().join("journal"), true, 1, &[]).unwrap();
        (folder, writer)
    }

    /// Writes removals one by one, each of which is refused. Returns how many lines were tried for them.
    fn refused(writer: &mut JournalWriter, removals: std::ops::RangeInclusive<u64>) -> usize {
        let before = writer.tried;
        for number in removals {
            writer.write(vec![line(number)], number, None).unwrap_err();
        }
        writer.tried - before
    }

    #[test]
    fn refused_removals_cost_the_same_however_many_wait() {
        let (_folder, mut writer) = writer();
        writer.refuse_writes();
        let first = refused(&mut writer, 1..=4_000);
        let second = refused(&mut writer, 4_001..=8_000);
        assert!(first <= 4_000 * PROBE, "{first} lines were tried for 4,000 removals");
        assert!(second <= 4_000 * PROBE, "{second} lines were tried for 4,000 more");
        // There is space again: everything is written once, in order.
        writer.open.file = atomic_file::private().open(&writer.path).unwrap();
        let before = writer.tried;
        writer.write(vec![line(8_001)], 8_001, None).unwrap();
        assert_eq!(writer.tried - before, 8_001);
        assert!(written(&writer.path) == lines(1..=8_001));
        // From then on, lines are written immediately.
        let before = writer.tried;
        writer.write(lines(8_002..=9_000), 9_000, None).unwrap();
        assert_eq!(writer.tried - before, 999);
    }

    /// For a long time, the name of a new journal is not durable.
    #[test]
    fn a_journal_whose_name_does_not_last_is_not_begun_again_for_every_removal() {
        let (_folder, mut writer) = writer();
        fault::inject(&writer.path, fault::Step::Sync);
        writer.write(Vec::new(), 0, Some(Renewal { version: 9, lines: Vec::new(), pushed: 0 })).unwrap_err();
        let first = refused(&mut writer, 1..=4_000);
        let second = refused(&mut writer, 4_001..=8_000);
        // Each removal is appended. The cost of a repetition is shared by the calls since the last one.
        assert!(first <= 4_000 * (PROBE + 2), "{first} lines were tried for 4,000 removals");
        assert!(second <= 4_000 * (PROBE + 2), "{second} lines were tried for 4,000 more");
        assert!(written(&writer.path) == lines(1..=8_000), "they are in the file that is in its place");
        fault::heal(&writer.path);
        let acknowledged = (8_001..=8_200).find(|&number| writer.write(vec![line(number)], number, None).is_ok());
        let last = acknowledged.expect("it is begun again soon");
        assert!(written(&writer.path) == lines(1..=last));
    }

    /// A new journal has the lines that the snapshot may have missed, and none that the snapshot contains.
    #[test]
    fn a_new_journal_takes_over_only_lines_from_after_the_snapshot() {
        let (_folder, mut writer) = writer();
        writer.refuse_writes();
        refused(&mut writer, 1..=100);
        // 99 and 100 were queued while the snapshot was written, 101 and 102 afterwards.
        let renewal = Renewal { version: 9, lines: lines(99..=100), pushed: 100 };
        writer.write(lines(101..=102), 102, Some(renewal)).unwrap();
        assert_eq!(written(&writer.path), lines(99..=102));
        writer.write(vec![line(103)], 103, None).unwrap();
        assert_eq!(written(&writer.path), lines(99..=103));
    }

    #[test]
    fn a_failing_snapshot_is_retried_less_and_less_often() {
        let (_folder, mut writer) = writer();
        let mut asked = 0;
        for bytes in (0..1_000).map(|step| LONG + (step << 20)) {
            writer.open.bytes = bytes;
            asked += usize::from(writer.is_long());
        }
        assert_eq!(asked, 5, "at 65, 131, 263, 527 and 1,055 MiB");
    }
}
