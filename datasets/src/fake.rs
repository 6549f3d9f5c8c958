//! Small trees of files for the tests. Nothing here is decoded, so a file holds its own name.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{Dataset, Reason};

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

/// Every sample as `id defect` or `id defect mask`, paths relative to the root.
pub(crate) fn lines(dataset: &Dataset) -> Vec<String> {
    let line = |s: &crate::Sample| match &s.mask {
        Some(mask) => format!("{} {} {}", s.id, s.defect, relative(dataset, mask)),
        None => format!("{} {}", s.id, s.defect),
    };
    dataset.samples.iter().map(line).collect()
}

/// Every orphan as its path relative to the root, and its reason.
pub(crate) fn orphans(dataset: &Dataset) -> Vec<(String, Reason)> {
    dataset
        .orphans
        .iter()
        .map(|o| (relative(dataset, &o.path), o.reason))
        .collect()
}

fn relative(dataset: &Dataset, path: &Path) -> String {
    path.strip_prefix(&dataset.root)
        .unwrap()
        .to_str()
        .unwrap()
        .replace('\\', "/")
}
