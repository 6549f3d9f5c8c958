//! Small trees of files for the tests. Nothing here is decoded, so a file holds its own name.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::index::relative_id;
use crate::{Dataset, Orphan, Sample};

/// Writes `files` (paths with `/`) into a fresh folder; one that ends in `/` is an empty folder.
pub(crate) fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        write(root.path(), file, file);
    }
    root
}

/// Writes one file, and the folders above it.
pub(crate) fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    if file.ends_with('/') {
        return fs::create_dir_all(path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every sample as `id defect` or `id defect mask`, the mask relative to the root.
pub(crate) fn lines(dataset: &Dataset) -> Vec<String> {
    let mask = |s: &Sample| {
        s.mask
            .as_ref()
            .map(|mask| format!(" {}", below(dataset, mask)))
    };
    let line = |s: &Sample| format!("{} {}{}", s.id, s.defect, mask(s).unwrap_or_default());
    dataset.samples.iter().map(line).collect()
}

/// Every orphan as `Reason path`, the path relative to the root.
pub(crate) fn orphans(dataset: &Dataset) -> Vec<String> {
    let line = |o: &Orphan| format!("{:?} {}", o.reason, below(dataset, &o.path));
    dataset.orphans.iter().map(line).collect()
}

fn below(dataset: &Dataset, path: &Path) -> String {
    relative_id(dataset.base(), path)
}
