//! Categories that are done, kept on disk so that an evaluation that was stopped goes on behind them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::report::{CategoryReport, Failure, ImageResult};
use crate::disk;
use crate::error::{Error, Result};

/// All that an evaluation knows of a category that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoneCategory {
    /// Its figures.
    pub report: CategoryReport,
    /// Its images.
    pub images: Vec<ImageResult>,
    /// What could not be read.
    pub failures: Vec<Failure>,
}

/// A folder that keeps what is done of one evaluation, a file for each category. It is of use only to
/// the same evaluation: whoever opens it gives it a name that says which.
#[derive(Debug)]
pub struct EvalState {
    folder: PathBuf,
    _lock: disk::Lock,
}

impl EvalState {
    /// Opens the folder in `within` that belongs to one evaluation, or makes it. `what` says which
    /// evaluation: all on which its results depend, such as adapter, dataset and settings.
    ///
    /// # Errors
    /// If it cannot be made, or another process is at work in it.
    pub fn open(within: &Path, what: &[&[u8]]) -> Result<Self> {
        let mut hash = blake3::Hasher::new();
        for part in what {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let folder = within.join(&hash.finalize().to_hex()[..16]);
        disk::create_folder(&folder)?;
        let lock = disk::lock(&folder)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// How many categories are done.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn count(&self) -> Result<usize> {
        let files = std::fs::read_dir(&self.folder)
            .map_err(|source| Error::io("read", &self.folder, source))?;
        let done =
            |name: &std::ffi::OsStr| Path::new(name).extension().is_some_and(|e| e == "toml");
        Ok(files
            .flatten()
            .filter(|file| done(&file.file_name()))
            .count())
    }

    /// The category, if it is done. A file that does not read counts for nothing: its category is
    /// measured again.
    pub(super) fn done(&self, category: &str) -> Result<Option<DoneCategory>> {
        let bytes = disk::read_if_present(&self.file(category))?;
        let done = bytes.and_then(|bytes| toml::from_slice::<DoneCategory>(&bytes).ok());
        Ok(done.filter(|done| done.report.category == category))
    }

    pub(super) fn keep(&self, done: &DoneCategory) -> Result<()> {
        let file = self.file(&done.report.category);
        // TOML, unlike JSON as we read it, gives back every bit of a number
        let text = toml::to_string(done)
            .map_err(|error| Error::io("write", &file, io::Error::other(error)))?;
        disk::write(&file, text.as_bytes())
    }

    /// Forgets a category, which will be measured again.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn forget(&self, category: &str) -> Result<()> {
        disk::remove(&self.file(category))
    }

    /// Removes the folder: the evaluation has ended.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> Result<()> {
        let Self {
            folder,
            _lock: lock,
        } = self;
        drop(lock);
        std::fs::remove_dir_all(&folder).map_err(|source| Error::io("remove", &folder, source))
    }

    /// Categories may have any name; their files are called by its hash.
    fn file(&self, category: &str) -> PathBuf {
        let hash = blake3::hash(category.as_bytes()).to_hex();
        self.folder.join(format!("{}.toml", &hash[..16]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mpama_datasets::Label;

    use super::super::report::Scores;
    use super::*;

    fn done(category: &str) -> DoneCategory {
        let images = (0..50).map(|i| ImageResult {
            id: format!("a \"b\"/{i}.png"),
            category: category.to_owned(),
            label: if i % 2 == 0 {
                Label::Normal
            } else {
                Label::Anomalous
            },
            score: (i as f32).sin().abs(),
        });
        let report = CategoryReport {
            category: category.to_owned(),
            normal: 25,
            anomalous: 25,
            without_mask: 0,
            regions: 3,
            scores: Scores {
                image_auroc: Some(std::f64::consts::FRAC_1_PI),
                aupro: Some(0.1 + 0.2),
                ..Scores::default()
            },
            image_f1_threshold: Some(0.3),
            curves: None,
            seconds: 1.5e-7,
            figures: None,
            bounds: None,
        };
        DoneCategory {
            report,
            images: images.collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn what_is_kept_comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let state = EvalState::open(folder.path(), &[b"adapter", b"data"]).unwrap();
        assert_eq!(state.done("../odd").unwrap(), None);
        state.keep(&done("../odd")).unwrap();
        state.keep(&done("even")).unwrap();
        assert_eq!(state.done("../odd").unwrap(), Some(done("../odd")));
        assert_eq!(state.count().unwrap(), 2);
        state.forget("even").unwrap();
        assert_eq!(state.done("even").unwrap(), None);
        std::fs::write(state.file("../odd"), "half a fi").unwrap();
        assert_eq!(
            state.done("../odd").unwrap(),
            None,
            "damaged: measured again"
        );
        state.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_evaluation_has_another_folder_and_one_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let one = EvalState::open(folder.path(), &[b"ab", b"c"]).unwrap();
        let other = EvalState::open(folder.path(), &[b"a", b"bc"]).unwrap();
        assert_ne!(one.folder, other.folder);
        assert!(EvalState::open(folder.path(), &[b"ab", b"c"]).is_err());
    }
}
