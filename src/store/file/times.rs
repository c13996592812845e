//! Last use and sliding expiry as a file's times, so that a touch writes no content and a sweep opens no file that it
//! keeps.
//!
//! - The modification time is the expiry, the access time the last use.
//! - Both are whole milliseconds. The digits below the milliseconds are a sign for the kind of the record, in steps of
//!   100 ns (the resolution of NTFS). A time without such a sign was set by another program (a copy, a backup,
//!   `touch`). The values in the file's header, from its last write, are then used instead.
//! - File systems differ in the latest time that they can hold. With XFS without `bigtime` and with ext3, times end in
//!   January 2038. An expiry from the year 2100 on is stored only in the header, and the file's time is a mark.

use std::{
    fs::{File, FileTimes, Metadata},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{clock, record::RecordKind};

/// 2100-01-01. From here on, expiries are not written as times.
const FAR: u64 = 4_102_444_800_000;

/// 2038-01-01. The mark for an expiry that is in the header. File systems might not hold a later one.
const FAR_MARK: u64 = 2_145_916_800_000;

/// The first time that a 32-bit number of seconds can't hold: 2038-01-19.
const SURE_UNTIL: u64 = 2_147_483_648_000;

/// The step of the sign, which is below the milliseconds.
const STEP_NANOS: u64 = 100;

const NANOS_PER_MILLI: u32 = 1_000_000;

/// The last use and expiry in a file's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The last use in milliseconds, or `None` if another program has set the access time.
    pub(super) used: Option<u64>,
    /// The expiry.
    pub(super) expiry: Expiry,
}

/// The expiry in a file's modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// A record of this kind, which expires at this millisecond.
    At(u64, RecordKind),
    /// A record of this kind, whose expiry is in the header. It is not before 2038.
    Far(RecordKind),
    /// Another program has set the time. The expiry is in the header.
    Foreign,
}

/// Whether an expiry can't be written as a time, and must be in the header.
pub(super) fn is_far(expires: u64) -> bool {
    expires >= FAR || expires == FAR_MARK
}

/// Writes last use and expiry.
///
/// # Errors
///
/// If the times can't be set, or the file system can't hold the expiry.
pub(super) fn write(file: &File, kind: RecordKind, used: u64, expires: u64) -> io::Result<()> {
    let used = used.min(FAR);
    let expires = if is_far(expires) { FAR_MARK } else { expires };
    file.set_times(FileTimes::new().set_accessed(sign(used, kind)).set_modified(sign(expires, kind)))?;
    if expires >= SURE_UNTIL && file.metadata()?.modified()? != sign(expires, kind) {
        return Err(io::Error::other("the file system holds no times after the year 2038"));
    }
    Ok(())
}

/// Reads what [`write`] wrote.
pub(super) fn read(metadata: &Metadata) -> Times {
    let used = metadata.accessed().ok().and_then(unsign).map(|(used, _)| used);
    let expiry = match metadata.modified().ok().and_then(unsign) {
        None => Expiry::Foreign,
        Some((FAR_MARK, kind)) => Expiry::Far(kind),
        Some((expires, kind)) => Expiry::At(expires, kind),
    };
    Times { used, expiry }
}

/// Whether the file system's times are exact enough. Writes times and reads them back.
pub(super) fn are_kept(file: &File) -> io::Result<bool> {
    let (used, expires) = (1_700_000_000_123, 1_800_000_000_789);
    write(file, RecordKind::Sealed, used, expires)?;
    Ok(read(&file.metadata()?) == Times { used: Some(used), expiry: Expiry::At(expires, RecordKind::Sealed) })
}

fn sign(millis: u64, kind: RecordKind) -> SystemTime {
    let steps = match kind {
        RecordKind::Session => 1,
        RecordKind::Tombstone => 2,
        RecordKind::Epoch => 3,
        RecordKind::Sealed => 4,
    };
    clock::from_millis(millis) + Duration::from_nanos(steps * STEP_NANOS)
}

fn unsign(time: SystemTime) -> Option<(u64, RecordKind)> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let kind = match since.subsec_nanos() % NANOS_PER_MILLI {
        100 => RecordKind::Session,
        200 => RecordKind::Tombstone,
        300 => RecordKind::Epoch,
        400 => RecordKind::Sealed,
        _ => return None,
    };
    Some((clock::duration_millis(since), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [RecordKind; 4] = [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch, RecordKind::Sealed];

    #[test]
    fn times_round_trip_and_far_ones_are_marked() {
        let file = tempfile::tempfile().unwrap();
        for kind in KINDS {
            for used in [0, 1, 999, 1_795_000_000_123] {
                for expires in [0, 1, used, FAR_MARK - 1, FAR_MARK + 1, FAR - 1] {
                    write(&file, kind, used, expires).unwrap();
                    let expected = Times { used: Some(used), expiry: Expiry::At(expires, kind) };
                    assert_eq!(read(&file.metadata().unwrap()), expected);
                }
                for expires in [FAR_MARK, FAR, FAR + 1, u64::MAX] {
                    write(&file, kind, used, expires).unwrap();
                    assert_eq!(read(&file.metadata().unwrap()).expiry, Expiry::Far(kind));
                }
            }
        }
        assert!(are_kept(&file).unwrap());
    }

    #[test]
    fn times_of_others_are_recognised() {
        for nanos in [0, 99, 101, 500, 123_456] {
            assert_eq!(unsign(UNIX_EPOCH + Duration::new(1_800_000_000, nanos)), None, "{nanos}");
        }
        assert_eq!(unsign(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
