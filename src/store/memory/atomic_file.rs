//! Files that are replaced atomically.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Appends a suffix to the name of a path.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The name of a file while it is written.
pub(super) fn temporary(path: &Path) -> PathBuf {
    beside(path, ".tmp")
}

/// A file that has replaced an old one.
#[derive(Debug)]
pub(super) struct Replaced {
    /// The new file, open.
    pub(super) file: File,
    /// Whether its name is on the disk. If not, a crash of the machine may leave the old file in its place.
    pub(super) lasts: io::Result<()>,
}

/// Writes a file beside `path`, syncs it, renames it to `path` and syncs the folder. After an error, the old file is in
/// place and the new one is removed.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Replaced> {
    let temporary = temporary(path);
    let written = create(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.flush()?;
        file.sync_all()?;
        // The folder is opened first, since after the rename there is no way back.
        let folder = Folder::of(path)?;
        fs::rename(&temporary, path)?;
        Ok(Replaced { file, lasts: folder.sync() })
    });
    written.inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Creates a file that only this user can read, and its folder if need be. A file that a crash left in its place is
/// removed first, so that no link planted there is followed.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private().create_new(true).open(path)
}

/// Options for reading and writing. On Unix, a created file is accessible to its owner only.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The open folder of a path. Folders can be synced on Unix only.
#[derive(Debug)]
pub(super) struct Folder {
    #[cfg(unix)]
    open: Option<File>,
    #[cfg(test)]
    path: PathBuf,
}

impl Folder {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        #[cfg(test)]
        fault::strike(path, fault::Step::Open)?;
        Ok(Self {
            #[cfg(unix)]
            open: path.parent().map(File::open).transpose()?,
            #[cfg(test)]
            path: path.to_owned(),
        })
    }

    /// Makes renames in the folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        fault::strike(&self.path, fault::Step::Sync)?;
        #[cfg(unix)]
        self.open.as_ref().map_or(Ok(()), File::sync_all)?;
        Ok(())
    }
}

/// Folders that can't be opened or synced.
#[cfg(test)]
pub(super) mod fault {
    use std::{
        io,
        path::{Path, PathBuf},
        sync::{Mutex, PoisonError},
    };

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) enum Step {
        Open,
        Sync,
    }

    static FAULTS: Mutex<Vec<(PathBuf, Step)>> = Mutex::new(Vec::new());

    /// Makes this step fail for the folder of this file.
    pub(in super::super) fn inject(path: &Path, step: Step) {
        FAULTS.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), step));
    }

    pub(in super::super) fn heal(path: &Path) {
        FAULTS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| other != path);
    }

    pub(super) fn strike(path: &Path, step: Step) -> io::Result<()> {
        let faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = faults.iter().any(|fault| (fault.0.as_path(), fault.1) == (path, step));
        if struck { Err(io::Error::other("this folder fails")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_folder_that_can_not_be_opened_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fault::inject(&path, fault::Step::Open);
        replace(&path, |file| file.write_all(b"new")).unwrap_err();
        assert_eq!(content(&path), "old");
        assert!(!temporary(&path).exists());
    }

    /// The new file is in place, so later writes must go to it.
    #[test]
    fn a_folder_that_can_not_be_synced_is_reported_with_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fault::inject(&path, fault::Step::Sync);
        let mut replaced = replace(&path, |file| file.write_all(b"new")).unwrap();
        replaced.lasts.unwrap_err();
        replaced.file.write_all(b"er").unwrap();
        assert_eq!(content(&path), "newer");
        fault::heal(&path);
        replace(&path, |file| file.write_all(b"newest")).unwrap().lasts.unwrap();
        assert_eq!(content(&path), "newest");
    }
}
