//! What the cache holds, and making room in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::{Cache, folder_name};
use crate::error::{Error, Result};
use crate::id::ModelId;

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// Its id, without a revision.
    pub id: ModelId,
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes on the disk, each blob once.
    pub bytes: u64,
    /// How many of them no snapshot shows: files of no commit, and downloads that were not finished.
    pub unused: u64,
    /// The commits of which there are files.
    pub commits: Vec<String>,
    /// When any of its blobs was last read, or else written, if the system says so.
    pub last_used: Option<SystemTime>,
}

impl Cache {
    /// Every model in the cache, by id. Other things in its folder are left alone.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that is there and cannot be read.
    pub fn models(&self) -> Result<Vec<CachedModel>> {
        let mut models = Vec::new();
        for entry in entries(self.root())? {
            let name = entry.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_prefix("models--"))
                .and_then(|name| name.replacen("--", "/", 1).parse::<ModelId>().ok());
            if let Some(id) = id {
                models.push(describe(id, entry.path())?);
            }
        }
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(models)
    }

    /// Removes a model with everything in it; how many bytes that was, or `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, id: &ModelId) -> Result<Option<u64>> {
        let folder = self.folder(id);
        if !folder.is_dir() {
            return Ok(None);
        }
        let bytes = describe(id.clone(), folder.clone())?.bytes;
        fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
        let locks = self.root().join(".locks").join(folder_name(id));
        match fs::remove_dir_all(&locks) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &locks)(error))
            }
            _ => Ok(Some(bytes)),
        }
    }

    /// Removes the blobs of a model that no snapshot shows; how many bytes that was. A file that another
    /// process is fetching is among them: it will be fetched again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_unused(&self, model: &CachedModel) -> Result<u64> {
        let mut removed = 0;
        for blob in unused(&model.folder)? {
            let size = fs::metadata(&blob).map_or(0, |data| data.len());
            fs::remove_file(&blob).map_err(Error::io("remove", &blob))?;
            removed += size;
        }
        Ok(removed)
    }
}

fn describe(id: ModelId, folder: PathBuf) -> Result<CachedModel> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
    let blobs = entries(&folder.join("blobs"))?;
    let used = |entry: &fs::DirEntry| {
        let data = entry.metadata().ok()?;
        data.accessed().or_else(|_| data.modified()).ok()
    };
    let commits = entries(&folder.join("snapshots"))?;
    let mut commits: Vec<String> = commits
        .iter()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    commits.sort();
    Ok(CachedModel {
        bytes: blobs.iter().map(|entry| size(&entry.path())).sum(),
        unused: unused(&folder)?.iter().map(|path| size(path)).sum(),
        last_used: blobs.iter().filter_map(used).max(),
        id,
        commits,
        folder,
    })
}

/// Blobs that no link leads to.
fn unused(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut shown = BTreeSet::new();
    let mut folders = vec![folder.join("snapshots")];
    while let Some(next) = folders.pop() {
        for entry in entries(&next)? {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(blob) = fs::canonicalize(&path) {
                shown.insert(blob);
            }
        }
    }
    let blobs = entries(&folder.join("blobs"))?;
    let blobs = blobs
        .iter()
        .filter_map(|entry| fs::canonicalize(entry.path()).ok());
    Ok(blobs.filter(|blob| !shown.contains(blob)).collect())
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn what_nobody_shows_can_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        assert_eq!(cache.models().unwrap(), []);
        let id: ModelId = "me/thing".parse().unwrap();
        let snapshot = cache.make_snapshot(&id, COMMIT).unwrap();
        let blobs = cache.folder(&id).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        for (name, size) in [("aa", 3), ("bb", 5), ("cc.incomplete", 7)] {
            fs::write(blobs.join(name), vec![0; size]).unwrap();
        }
        cache.show(&id, &snapshot, "config.json", "aa").unwrap();
        fs::create_dir_all(folder.path().join("datasets--me--thing")).unwrap();

        let [model] = &cache.models().unwrap()[..] else {
            panic!("one model expected")
        };
        assert_eq!((model.bytes, model.unused), (15, 12));
        assert_eq!(
            (&model.id, &model.commits[..]),
            (&id, &[COMMIT.to_owned()][..])
        );
        assert_eq!(cache.remove_unused(model).unwrap(), 12);
        assert_eq!(
            fs::read(snapshot.folder.join("config.json")).unwrap(),
            [0; 3]
        );
        assert_eq!(cache.remove(&id).unwrap(), Some(3));
        assert_eq!(cache.remove(&id).unwrap(), None);
    }
}
