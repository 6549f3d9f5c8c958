//! Files that are either whole or absent, and a folder that belongs to one process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes `bytes` to `path` so that a reader finds the old file or the new one, never a part: into a
/// hidden sibling first, flushed to the disk, then renamed.
///
/// # Errors
/// [`Error::DiskFull`] or [`Error::Io`], both naming `path`; the sibling is removed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let sibling = sibling(path);
    let written = File::create(&sibling)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&sibling, path));
    if let Err(source) = written {
        // The write has failed already; a sibling that cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&sibling);
        return Err(Error::io("write", path, source));
    }
    #[cfg(unix)]
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        // A rename survives a power cut only once its folder is on the disk too.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| Error::io("write", folder, source))?;
    }
    Ok(())
}

/// As [`write`], but without waiting for the disk: for one of thousands of files that can be made again.
pub(crate) fn write_unflushed(path: &Path, bytes: &[u8]) -> Result<()> {
    let sibling = sibling(path);
    let written = std::fs::write(&sibling, bytes).and_then(|()| std::fs::rename(&sibling, path));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&sibling); // the first error is the one to tell
        Error::io("write", path, source)
    })
}

/// The hidden name under which [`write`] prepares `path`. One process writes a folder at a time (see
/// [`lock`]), so the name needs no random part, and what a killed process left is overwritten.
fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// Reads a whole file; `None` if there is none.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", path, source)),
    }
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, source))
        }
        _ => Ok(()),
    }
}

/// Creates `folder` and its parents.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))
}

/// Keeps every other process out of a folder until it is dropped. The operating system releases it
/// when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the file `.lock` of `folder` for this process.
///
/// # Errors
/// [`Error::Busy`] if another process (or another run in this one) holds it.
pub(crate) fn lock(folder: &Path) -> Result<Lock> {
    let path = folder.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| Error::io("lock", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Error::Busy {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path, source)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_sibling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, b"first").unwrap();
        // What a killed process would have left.
        std::fs::write(sibling(&path), b"half of the sec").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        write(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::create_dir(&path).unwrap(); // a rename onto a folder fails
        let error = write(&path, b"bytes").unwrap_err();
        assert!(
            matches!(&error, Error::Io { path: named, .. } if *named == path),
            "{error}"
        );
        assert!(!sibling(&path).exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_its_own_error() {
        // Every write to this device fails with ENOSPC.
        let source = File::create("/dev/full")
            .unwrap()
            .write_all(b"x")
            .unwrap_err();
        let error = Error::io("write", Path::new("cache/shard"), source);
        assert!(
            matches!(&error, Error::DiskFull { path, .. } if path.ends_with("shard")),
            "{error}"
        );
    }

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(Error::Busy { .. })));
        drop(held);
        lock(folder.path()).unwrap();
    }
}
