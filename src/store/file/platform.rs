//! Differences between operating systems: flags, permissions, files' users and syncing of directories.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io,
    path::Path,
};

/// Options to open a session's file for reading, safe against whatever is in its place.
///
/// A symbolic link is not followed, and a FIFO doesn't block. On Linux, the access time stays unchanged, since it is
/// the last use. (Only the file's owner may request that, and the store reads only its own files.)
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

/// Options to open a session's file for reading. It is opened for writing as well, since setting its times needs that.
#[cfg(not(unix))]
pub(super) fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Options to create a file that only this user can read. Links are not followed.
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

/// Creates a directory that only this user can read.
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

/// Returns the number of the user that a file belongs to, or 0 on systems without such numbers.
pub(super) fn user(metadata: &Metadata) -> u32 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// Returns the number of the file system that a file is on, or 0 on systems without such numbers.
pub(super) fn device(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::dev(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// Whether other users have any permission on the directory.
pub(super) fn open_to_others(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Whether an open file has been unlinked.
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

/// A directory that is about to change. It is opened before the change, so that a failure to open it leaves everything
/// as it was.
///
/// Directories are synced only on Unix. NTFS journals names itself.
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
