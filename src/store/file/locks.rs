//! The shards' lock files: advisory locks between processes.

use std::{
    fs::{File, TryLockError},
    io, thread,
    time::Duration,
};

use super::{FileStoreError, layout::Layout, platform};

/// How often a lock is tried within one call, and the pause between two tries. Another process holds a lock for about
/// 100 µs.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_micros(50);

/// One or two shards, in the order in which they are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shards {
    pub(super) first: u8,
    pub(super) second: Option<u8>,
}

impl Shards {
    pub(super) fn one(shard: u8) -> Self {
        Self { first: shard, second: None }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        [Some(self.first), self.second].into_iter().flatten()
    }

    /// Both shards, the lower one first, so that two renames never wait for each other.
    pub(super) fn both(one: u8, other: u8) -> Self {
        Self { first: one.min(other), second: (one != other).then_some(one.max(other)) }
    }
}

/// The held locks of one or two shards. Their holder is the only writer in those shards, in all processes.
///
/// The operating system releases the locks of a process that dies. Locks are held only within one blocking call, never
/// across an await.
#[derive(Debug)]
pub(super) struct Locks {
    shards: Shards,
    files: [Option<File>; 2],
}

impl Locks {
    /// Takes the locks. Returns `None` if another process has one of them.
    pub(super) fn try_take(layout: &Layout, shards: Shards) -> Result<Option<Self>, FileStoreError> {
        Self::try_some_times(layout, shards, TRIES)
    }

    /// As [`try_take`](Self::try_take), but does not wait.
    pub(super) fn try_once(layout: &Layout, shards: Shards) -> Result<Option<Self>, FileStoreError> {
        Self::try_some_times(layout, shards, 1)
    }

    fn try_some_times(layout: &Layout, shards: Shards, tries: u32) -> Result<Option<Self>, FileStoreError> {
        let mut locks = Self { shards, files: [None, None] };
        for (slot, shard) in shards.iter().enumerate() {
            match try_lock(layout, shard, tries)? {
                Some(file) => locks.files[slot] = Some(file),
                None => return Ok(None),
            }
        }
        Ok(Some(locks))
    }

    pub(super) fn shards(&self) -> Shards {
        self.shards
    }

    /// Returns the lock file of a locked shard.
    pub(super) fn file(&self, shard: u8) -> &File {
        let slot = usize::from(self.shards.first != shard);
        self.files[slot].as_ref().expect("a shard's writer holds its lock")
    }

    /// Asserts in debug builds that the lock of a shard is held. Every writer in the shard must hold it.
    pub(super) fn assert_hold(&self, shard: u8) {
        debug_assert!(self.shards.first == shard || self.shards.second == Some(shard), "shard {shard} is not locked");
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for file in self.files.iter().flatten() {
            // Closing the file is not enough while a child process is being started: until the child runs its program,
            // it has a copy of the file descriptor.
            let _ = file.unlock();
        }
    }
}

fn try_lock(layout: &Layout, shard: u8, tries: u32) -> Result<Option<File>, FileStoreError> {
    let path = layout.lock(shard);
    let mut options = platform::private_file();
    options.read(true).create(true);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            layout.restore_shard(shard)?;
            options.open(&path)
        }
        other => other,
    };
    let file = file.map_err(|error| FileStoreError::io("open the lock file", &path, error))?;
    for attempt in 0..tries {
        match file.try_lock() {
            Ok(()) => {
                // Meanwhile, the directory may have been removed and created again. The lock is then another file,
                // which is tried next.
                let gone = attempt > 0
                    && platform::is_unlinked(&file).map_err(|error| FileStoreError::io("lock", &path, error))?;
                return Ok((!gone).then_some(file));
            }
            Err(TryLockError::WouldBlock) if attempt + 1 < tries => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(FileStoreError::io("lock", &path, error)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shards_are_ordered_and_one_is_locked_once() {
        assert_eq!(Shards::both(7, 3), Shards { first: 3, second: Some(7) });
        assert_eq!(Shards::both(3, 7), Shards { first: 3, second: Some(7) });
        assert_eq!(Shards::both(3, 3), Shards::one(3));
    }

    #[test]
    fn a_lock_is_exclusive_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path(), false, false).unwrap();
        let held = Locks::try_take(&layout, Shards::both(1, 2)).unwrap().expect("free");
        held.assert_hold(2);
        assert!(Locks::try_take(&layout, Shards::one(1)).unwrap().is_none());
        assert!(Locks::try_take(&layout, Shards::both(0, 2)).unwrap().is_none());
        assert!(Locks::try_take(&layout, Shards::one(0)).unwrap().is_some(), "what was taken on the way is free again");
        drop(held);
        assert!(Locks::try_take(&layout, Shards::both(2, 1)).unwrap().is_some());
    }
}
