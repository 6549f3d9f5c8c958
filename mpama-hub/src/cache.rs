//! The folder that all Hugging Face tools share: what one has fetched, all have.
//!
//! ```text
//! models--OWNER--NAME/
//!   refs/main                     the commit that `main` was when last asked
//!   blobs/HASH                    a file's bytes, once; HASH.incomplete while they arrive
//!   snapshots/COMMIT/config.json  -> ../../blobs/HASH
//! .locks/models--OWNER--NAME/HASH.lock
//! ```

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::id::ModelId;

/// How often a lock that another process holds is tried.
const PATIENCE: Duration = Duration::from_millis(50);

/// The cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// A model's files at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: String,
    /// The folder with the files under their names.
    pub folder: PathBuf,
}

impl Cache {
    /// The cache in `root`, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model.
    pub(crate) fn folder(&self, id: &ModelId) -> PathBuf {
        self.root.join(folder_name(id))
    }

    /// Where the bytes of this hash are, or will be.
    pub(crate) fn blob(&self, id: &ModelId, hash: &str) -> PathBuf {
        self.folder(id).join("blobs").join(hash)
    }

    /// What the cache has of a model at the revision that its id names (`main` if none): there may be
    /// files missing. Opens no connection.
    pub fn snapshot(&self, id: &ModelId) -> Option<Snapshot> {
        let revision = id.revision().unwrap_or("main");
        let at = |commit: String| {
            let folder = self.folder(id).join("snapshots").join(&commit);
            folder.is_dir().then_some(Snapshot { commit, folder })
        };
        if is_commit(revision)
            && let Some(snapshot) = at(revision.to_owned())
        {
            return Some(snapshot);
        }
        let known = fs::read_to_string(self.folder(id).join("refs").join(revision)).ok()?;
        let known = known.trim();
        is_commit(known).then(|| at(known.to_owned())).flatten()
    }

    /// The folder for a commit's files, made if it is not there.
    pub(crate) fn make_snapshot(&self, id: &ModelId, commit: &str) -> Result<Snapshot> {
        let folder = self.folder(id).join("snapshots").join(commit);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(Snapshot {
            commit: commit.to_owned(),
            folder,
        })
    }

    /// Notes which commit a branch or tag is. Commits need no note.
    pub(crate) fn note(&self, id: &ModelId, commit: &str) -> Result<()> {
        let revision = id.revision().unwrap_or("main");
        if revision == commit {
            return Ok(());
        }
        let path = self.folder(id).join("refs").join(revision);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        replace(&path, commit.as_bytes())
    }

    /// Shows the bytes of this hash under `name` in a snapshot: as a link, or as a copy where there are
    /// no links.
    pub(crate) fn show(
        &self,
        id: &ModelId,
        snapshot: &Snapshot,
        name: &str,
        hash: &str,
    ) -> Result<PathBuf> {
        let path = snapshot.folder.join(name);
        let blob = self.blob(id, hash);
        // One level up for `snapshots/COMMIT` itself, one for each folder in the name.
        let up = name.matches('/').count() + 2;
        let target: PathBuf = std::iter::repeat_n("..", up).collect();
        let target = target.join("blobs").join(hash);
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let fresh = beside(&path);
        let _ = fs::remove_file(&fresh); // of a process that was killed
        link(&target, &blob, &fresh).map_err(Error::io("link", &path))?;
        fs::rename(&fresh, &path).map_err(Error::io("link", &path))?;
        Ok(path)
    }

    /// Waits until no other process fetches the same bytes; `None` if `stop` was set meanwhile. The
    /// lock is the one that the Python client takes, and ends with the value.
    pub(crate) fn lock(&self, id: &ModelId, hash: &str, stop: &AtomicBool) -> Result<Option<File>> {
        let folder = self.root.join(".locks").join(folder_name(id));
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{hash}.lock"));
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(Error::io("create", &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(fs::TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => {
                    return Ok(None);
                }
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(PATIENCE),
                Err(fs::TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            }
        }
    }
}

/// `models--OWNER--NAME`: an id has no `--` and no `/` of its own.
pub(crate) fn folder_name(id: &ModelId) -> String {
    format!("models--{}--{}", id.owner(), id.name())
}

/// Whether a text is a full commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// Whether a text is lower-case hexadecimal.
pub(crate) fn is_hex(text: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.bytes().all(hex)
}

/// Whether a name from a listing stays below the folder it is joined to, on every system.
pub(crate) fn is_inside(name: &str) -> bool {
    let parts_are_plain = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    !name.is_empty() && parts_are_plain && !name.starts_with('/') && !name.contains(odd)
}

/// Writes a small file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = beside(path);
    fs::write(&fresh, bytes).map_err(Error::io("write", &fresh))?;
    fs::rename(&fresh, path).map_err(Error::io("write", path))
}

/// A sibling that no other process and no other thread uses.
fn beside(path: &Path) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{number}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(unix)]
fn link(target: &Path, _: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &Path, blob: &Path, path: &Path) -> std::io::Result<()> {
    fs::hard_link(blob, path).or_else(|_| fs::copy(blob, path).map(drop))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_of_listings_stay_inside() {
        for name in ["config.json", "a/b.json", ".gitattributes", "a..b"] {
            assert!(is_inside(name), "{name}");
        }
        for name in [
            "",
            "..",
            "../x",
            "a/../../x",
            "/etc/passwd",
            "c:\\x",
            "a\\..\\x",
            "./x",
            "a\nb",
            "c:x",
        ] {
            assert!(!is_inside(name), "{name}");
        }
    }

    #[test]
    fn a_branch_leads_to_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let id: ModelId = "me/thing".parse().unwrap();
        assert_eq!(cache.snapshot(&id), None);
        let snapshot = cache.make_snapshot(&id, COMMIT).unwrap();
        cache.note(&id, COMMIT).unwrap();
        let blob = cache.blob(&id, "ab12");
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, "bytes").unwrap();
        for name in ["config.json", "deep/er/config.json"] {
            let shown = cache.show(&id, &snapshot, name, "ab12").unwrap();
            assert_eq!(fs::read_to_string(shown).unwrap(), "bytes");
        }
        assert_eq!(cache.snapshot(&id), Some(snapshot.clone()));
        let pinned: ModelId = format!("me/thing@{COMMIT}").parse().unwrap();
        assert_eq!(cache.snapshot(&pinned), Some(snapshot));
        let other: ModelId = "me/thing@other".parse().unwrap();
        assert_eq!(cache.snapshot(&other), None);
    }

    #[test]
    fn a_note_that_is_no_commit_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let id: ModelId = "me/thing".parse().unwrap();
        let refs = cache.folder(&id).join("refs");
        fs::create_dir_all(&refs).unwrap();
        fs::create_dir_all(cache.folder(&id).join("snapshots")).unwrap();
        fs::write(refs.join("main"), "../..").unwrap();
        assert_eq!(cache.snapshot(&id), None);
    }
}
