//! What differs between operating systems: flags, rights, owners and directories that can be synced.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io,
    path::Path,
};

/// Options to open a session's file for reading, whatever somebody has put in its place.
///
/// A symbolic link is not followed, a FIFO doesn't block, and on Linux the access time stays as it is: it is where
/// the last use is kept. (Only the file's owner may ask for that, and we read only our own files.)
#[cfg(unix)]
pub(super) fn reading() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = flags | libc::O_NOATIME;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    options
}

/// Options to open a session's file: setting its times needs a handle that can write.
#[cfg(not(unix))]
pub(super) fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Options to make a file that only this user can read, and no link is followed to.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options
}

/// Makes a directory that only this user can read.
pub(super) fn make_private_dir(path: &Path, with_parents: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(with_parents);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// The user whom a file belongs to; 0 where there is no such number.
pub(super) fn user(metadata: &Metadata) -> u32 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// The file system that a file is on; 0 where there is no such number.
pub(super) fn device(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::dev(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// Whether other users can list the directory or go into it.
pub(super) fn open_to_others(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Whether a file that is open has no name any more.
pub(super) fn is_unlinked(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0);
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(false)
    }
}

/// Whether the process, or the system, has too many files open.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// A directory that is about to change, opened before the change, so that a failure to open it leaves all as it was.
///
/// Only Unix syncs directories. NTFS journals its names itself.
#[derive(Debug)]
pub(super) struct DirHandle(#[cfg(unix)] File);

impl DirHandle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
            OpenOptions::new().read(true).custom_flags(flags).open(path).map(Self)
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            Ok(Self())
        }
    }

    /// Waits until the names in the directory are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        self.0.sync_all()?;
        Ok(())
    }
}

/// Waits until a file's content and times are on the disk.
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}
