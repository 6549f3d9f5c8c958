//! What can go wrong while drawing or writing.

use std::io;
use std::path::PathBuf;

use super::{Defect, LARGEST, SMALLEST};

/// Why an image could not be drawn or a dataset not be written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// Images are drawn in a range of sizes only.
    #[error("image size {size} is not within {SMALLEST} to {LARGEST} pixels")]
    Size {
        /// The size asked for, pixels a side.
        size: usize,
    },

    /// The defect makes no sense on this category.
    #[error("category `{category}` has no defect `{defect}`")]
    NotApplicable {
        /// The category.
        category: &'static str,
        /// The defect.
        defect: Defect,
    },

    /// A word is not the name of a defect.
    #[error("`{name}` is not a defect")]
    UnknownDefect {
        /// The word.
        name: String,
    },

    /// Nothing was asked for: no category, or no image of any.
    #[error("no image was asked for ({categories} categories)")]
    Nothing {
        /// How many categories were asked for.
        categories: usize,
    },

    /// The place to write to is a file.
    #[error("`{}` is not a folder", path.display())]
    NotAFolder {
        /// The place.
        path: PathBuf,
    },

    /// The folder holds something else than a part of the same dataset.
    #[error("folder `{}` is not empty: it holds {found}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What it holds, in words.
        found: String,
    },

    /// A folder or file could not be read or written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The disk, or the share of it that the user may fill, is full.
    #[error("the disk is full: cannot write `{}`", path.display())]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The caller asked to stop.
    #[error("stopped after {done} of {total} images")]
    Stopped {
        /// Images written or found.
        done: usize,
        /// Images asked for.
        total: usize,
    },
}

impl SynthError {
    /// The error for a failure to write `path`.
    pub(super) fn write(path: impl Into<PathBuf>, source: io::Error) -> SynthError {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SynthError::DiskFull { path, source }
            }
            _ => SynthError::Write { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_locked_door() {
        let error = |kind| SynthError::write("a/b.png", io::Error::from(kind));
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(error(kind), SynthError::DiskFull { .. }));
        }
        let locked = error(io::ErrorKind::PermissionDenied);
        assert!(matches!(locked, SynthError::Write { .. }));
        assert_eq!(locked.to_string(), "cannot write `a/b.png`");
    }
}
