//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::Mistake;

/// Writes a file beside its place and renames it; one that was there before is replaced. What is no
/// file, such as `/dev/null`, is written to and stays what it is; so does a link.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Mistake> {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&place).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return fs::write(&place, bytes).map_err(|error| Mistake::file("write", path, error));
    }
    let beside = ending(&place, &format!(".{}.part", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &place));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside); // the first error is the one to tell
        Mistake::file("write", path, error)
    })
}

/// Makes a folder and sees that files can be written there, before hours of work rely on it.
pub(crate) fn writable_folder(folder: &Path) -> Result<(), Mistake> {
    fs::create_dir_all(folder).map_err(|error| Mistake::file("create", folder, error))?;
    let trial = folder.join(format!(".{}.part", std::process::id()));
    fs::write(&trial, b"").map_err(|error| Mistake::file("write", &trial, error))?;
    fs::remove_file(&trial).map_err(|error| Mistake::file("write", &trial, error))
}

/// `name` with `end` after its last character, not in place of its extension.
pub(crate) fn ending(name: &Path, end: &str) -> PathBuf {
    let mut whole = OsString::from(name);
    whole.push(end);
    whole.into()
}
