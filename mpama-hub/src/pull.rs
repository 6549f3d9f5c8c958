//! From the Hub into the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::cache::{Cache, Snapshot};
use crate::download::Download;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::id::ModelId;
use crate::listing::{Kind, Listed};
use crate::remote::Remote;

/// A model in the cache, with all that is needed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its folder, in the Hugging Face layout.
    pub folder: PathBuf,
    /// The commit that is there.
    pub commit: String,
    /// What it is.
    pub kind: Kind,
    /// What the Hub calls it now, if that is something else than what was asked for.
    pub moved: Option<ModelId>,
    /// Its files that are needed.
    pub files: Vec<PulledFile>,
}

/// A file of a model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledFile {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Whether any of them had to be fetched.
    pub fetched: bool,
}

/// What happens during a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullEvent<'a> {
    /// The Hub has said what there is.
    Found {
        /// Bytes that are needed.
        bytes: u64,
        /// How many of them are in the cache already.
        cached: u64,
    },
    /// Another process fetches the same file; we wait for it.
    Waiting {
        /// The file.
        file: &'a str,
    },
    /// Bytes have come.
    Progress {
        /// The file they belong to.
        file: &'a str,
        /// Bytes of all files that are in the cache now.
        done: u64,
    },
}

impl Hub {
    /// What the cache has of a model if it has all that is needed. Opens no connection.
    pub fn cached(&self, id: &ModelId) -> Option<Pulled> {
        let Snapshot { commit, folder } = self.cache().snapshot(id)?;
        // Links that lead nowhere are left out: metadata follows them.
        let files = |entry: fs::DirEntry| -> Option<(String, u64)> {
            let data = fs::metadata(entry.path())
                .ok()
                .filter(fs::Metadata::is_file)?;
            Some((entry.file_name().into_string().ok()?, data.len()))
        };
        let mut found: Vec<_> = fs::read_dir(&folder)
            .ok()?
            .flatten()
            .filter_map(files)
            .collect();
        found.sort();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let kind = Kind::of(names.iter().copied());
        let needed: BTreeSet<&str> = kind.needs(&names).ok()?.into_iter().collect();
        let files = found
            .iter()
            .filter(|(name, _)| needed.contains(name.as_str()));
        Some(Pulled {
            commit,
            kind,
            moved: None,
            files: files
                .map(|(name, size)| PulledFile {
                    name: name.clone(),
                    size: *size,
                    fetched: false,
                })
                .collect(),
            folder,
        })
    }

    /// Puts what is needed of a model into the cache and asks the Hub which commit its revision is.
    /// Files that are there stay, unless `again`; `None` if `stop` was set, and what arrived is kept for
    /// the next time.
    ///
    /// # Errors
    /// [`Error`], by situation. Nothing counts as there that has not the size and hash that the Hub lists.
    pub fn pull(
        &self,
        id: &ModelId,
        again: bool,
        stop: &AtomicBool,
        events: &mut dyn FnMut(PullEvent),
    ) -> Result<Option<Pulled>> {
        if self.settings().offline {
            return self.cached(id).map(Some).ok_or_else(|| Error::NotCached {
                id: id.clone(),
                cache: self.cache().root().to_owned(),
            });
        }
        let remote = self.remote()?;
        let Some(found) = remote.find(id, stop)? else {
            return Ok(None);
        };
        let Some(listed) = remote.list(&found.id, &found.commit, stop)? else {
            return Ok(None);
        };
        let names: Vec<&str> = listed.iter().map(|file| file.name.as_str()).collect();
        let kind = Kind::of(names.iter().copied());
        let needed = kind.needs(&names).map_err(|file| Error::NoFile {
            id: id.clone(),
            file: file.to_owned(),
        })?;
        let needed: Vec<&Listed> = listed
            .iter()
            .filter(|file| needed.contains(&file.name.as_str()))
            .collect();
        let snapshot = self.cache().make_snapshot(id, &found.commit)?;
        let pull = Pull {
            remote,
            cache: self.cache(),
            id,
            source: &found.id,
            snapshot: &snapshot,
            stop,
        };
        let there = |file: &Listed| !again && pull.has(file);
        let cached = needed
            .iter()
            .filter(|file| there(file))
            .map(|file| file.size);
        events(PullEvent::Found {
            bytes: needed.iter().map(|file| file.size).sum(),
            cached: cached.sum(),
        });
        let (mut files, mut done) = (Vec::new(), 0);
        for file in needed {
            let Some(fetched) = pull.file(file, again, done, events)? else {
                return Ok(None);
            };
            done += file.size;
            files.push(PulledFile {
                name: file.name.clone(),
                size: file.size,
                fetched,
            });
        }
        self.cache().note(id, &found.commit)?;
        let moved = (found.id.owner(), found.id.name()) != (id.owner(), id.name());
        Ok(Some(Pulled {
            folder: snapshot.folder,
            commit: snapshot.commit,
            kind,
            moved: moved.then_some(found.id),
            files,
        }))
    }
}

/// A pull under way.
struct Pull<'a> {
    remote: &'a Remote,
    cache: &'a Cache,
    /// As it was asked for, and as the cache has it.
    id: &'a ModelId,
    /// As the Hub calls it now.
    source: &'a ModelId,
    snapshot: &'a Snapshot,
    stop: &'a AtomicBool,
}

impl Pull<'_> {
    /// Whether the bytes are among the blobs: they were hashed before they came there.
    fn has(&self, file: &Listed) -> bool {
        let blob = self.cache.blob(self.id, file.hash.text());
        fs::metadata(blob).is_ok_and(|data| data.is_file() && data.len() == file.size)
    }

    /// One file; whether it had to be fetched, or `None` if stopped.
    fn file(
        &self,
        file: &Listed,
        again: bool,
        before: u64,
        events: &mut dyn FnMut(PullEvent),
    ) -> Result<Option<bool>> {
        let (name, hash) = (file.name.as_str(), file.hash.text());
        let fetch = again || !self.has(file);
        if fetch {
            events(PullEvent::Waiting { file: name });
            let Some(_lock) = self.cache.lock(self.id, hash, self.stop)? else {
                return Ok(None);
            };
            // Whoever held the lock before may have fetched it.
            if again || !self.has(file) {
                let blob = self.cache.blob(self.id, hash);
                let folder = blob.parent().unwrap_or(&blob);
                fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
                let part = blob.with_file_name(format!("{hash}.incomplete"));
                let download = Download {
                    remote: self.remote,
                    id: self.source,
                    commit: &self.snapshot.commit,
                    file,
                    stop: self.stop,
                };
                let mut tell = |have| {
                    let done = before + have;
                    events(PullEvent::Progress { file: name, done });
                };
                if !download.fetch(&part, &mut tell)? {
                    return Ok(None);
                }
                fs::rename(&part, &blob).map_err(Error::io("write", &blob))?;
            }
        }
        self.cache.show(self.id, self.snapshot, name, hash)?;
        let done = before + file.size;
        events(PullEvent::Progress { file: name, done });
        Ok(Some(fetch))
    }
}
